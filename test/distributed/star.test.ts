import { connect } from "node:net";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { EngineError } from "../../src/core/errors.ts";
import { Stall } from "../../src/distributed/stall.ts";
import { Hub, Leaf, type News } from "../../src/distributed/star.ts";

const test = suite("star");

const HERE = "127.0.0.1";

/** A star of `size` ranks and what they hear. */
async function star(
  size: number,
  address: string | null = HERE,
): Promise<{
  readonly hub: Hub;
  readonly leaves: readonly Leaf[];
  readonly heard: readonly (News & { by: number })[];
  leave(): Promise<unknown>;
}> {
  const heard: (News & { by: number })[] = [];
  const hear = (by: number) => (news: News) => void heard.push({ by, ...news });
  const hub = await Hub.open(address, "secret", hear(0));
  const place = { addresses: [HERE], port: hub.port, token: "secret" };
  const leaves: Leaf[] = [];
  for (let rank = 1; rank < size; rank++) leaves.push(await Leaf.open(rank, place, () => rank === 1, hear(rank)));
  // Until the hub has taken the last word of each greeting.
  await turn();
  return { hub, leaves, heard, leave: () => Promise.all([hub, ...leaves].map((one) => one.leave())) };
}

const turn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 50));

/** By rank, who heard what, in the order of ranks. */
function lines(heard: readonly (News & { by: number })[]): string[] {
  return heard
    .map(({ by, rank, reason, isPrinter }) => `${by}: ${rank} ${reason}${isPrinter ? ", prints" : ""}`)
    .sort();
}

test("a rank that says that it ends is heard by all others, and none prints", async () => {
  const { leaves, heard, leave } = await star(4);
  await leaves[1]!.end();
  await turn();
  assert.equal(lines(heard), ["0: 2 null", "1: 2 null", "3: 2 null"]);
  await leave();
});

test("so is rank 0", async () => {
  const { hub, heard, leave } = await star(3);
  await hub.end();
  await turn();
  assert.equal(lines(heard), ["1: 0 null", "2: 0 null"]);
  await leave();
});

test("ranks that leave in order are not missed, whoever leaves first", async () => {
  for (const order of [
    [0, 1, 2],
    [2, 0, 1],
  ]) {
    const { hub, leaves, heard } = await star(3);
    const all = [hub, ...leaves];
    const left = [];
    for (const rank of order) {
      left.push(all[rank]!.leave());
      await turn();
    }
    await Promise.all(left);
    assert.equal(heard, []);
  }
});

test("a connection without the token is closed, and tells nobody", async () => {
  const { hub, heard, leave } = await star(2);
  const socket = connect({ host: HERE, port: hub.port });
  socket.write('{"kind":"hello","token":"wrong","rank":1}\n{"kind":"join"}\n{"kind":"ended","rank":1,"reason":"x"}\n');
  await new Promise((resolve) =>
    socket
      .on("close", resolve)
      .on("error", () => {})
      .resume(),
  );
  const noise = connect({ host: HERE, port: hub.port });
  noise.write("GET / HTTP/1.1\r\n\r\n");
  await new Promise((resolve) =>
    noise
      .on("close", resolve)
      .on("error", () => {})
      .resume(),
  );
  assert.equal(heard, []);
  await leave();
});

test("a leaf reports its calls to the hub, which listens everywhere if it must", async () => {
  const { hub, leaves, leave } = await star(3, null);
  leaves[0]!.report(7);
  leaves[1]!.report(8);
  await turn();
  assert.equal(
    [...hub.calls],
    [
      [1, 7],
      [2, 8],
    ],
  );
  await leave();
});

test("a rank tries the addresses one after another, and says so if none leads to rank 0", async () => {
  const { hub, leave } = await star(2);
  const other = await Hub.open(HERE, "another secret", () => {});
  const open = (port: number, addresses: string[]) =>
    Leaf.open(
      2,
      { addresses, port, token: "secret" },
      () => false,
      () => {},
    );
  const found = await open(hub.port, ["127.0.0.2", HERE]);
  const error = await open(other.port, [HERE]).catch((thrown) => thrown);
  assert.instance(error, EngineError);
  assert.is(error.code, "watch");
  await Promise.all([leave(), found.leave(), other.leave()]);
});

test("a wait for other ranks is said after a minute, once", () => {
  const stall = new Stall();
  const minute = 60_000;
  // Rank 1 has not begun the fifth call. Unknown ranks are not named.
  assert.equal(stall.see([5, 4, 5, null], 0), []);
  assert.equal(stall.see([5, 4, 5, null], minute - 1), []);
  assert.equal(stall.see([5, 4, 5, null], minute), [1]);
  assert.equal(stall.see([5, 4, 5, null], 2 * minute), []);
  // A new wait, for two.
  assert.equal(stall.see([6, 5, 5, null], 3 * minute), []);
  assert.equal(stall.see([6, 5, 5, null], 4 * minute), [1, 2]);
  // All compute.
  assert.equal(stall.see([6, 6, 6, null], 5 * minute), []);
  assert.equal(stall.see([6, 6, 6, null], 9 * minute), []);
});

test.run();
