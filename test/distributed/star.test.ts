import { connect } from "node:net";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { EngineError } from "../../src/core/errors.ts";
import { Hub, Leaf, type News } from "../../src/distributed/star.ts";

const test = suite("star");

const HERE = "127.0.0.1";

/** A star of `size` ranks and what they hear. */
async function star(size: number): Promise<{
  readonly hub: Hub;
  readonly leaves: readonly Leaf[];
  readonly heard: readonly (News & { by: number })[];
  leave(): Promise<unknown>;
}> {
  const heard: (News & { by: number })[] = [];
  const hear = (by: number) => (news: News) => void heard.push({ by, ...news });
  const hub = await Hub.open(HERE, "secret", hear(0));
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

test("a rank that ends is heard by all others, and rank 0 prints", async () => {
  const { leaves, heard, leave } = await star(4);
  await leaves[1]!.end("Error: boom");
  await turn();
  assert.equal(lines(heard), ["0: 2 Error: boom, prints", "1: 2 Error: boom", "3: 2 Error: boom"]);
  await leave();
});

test("rank 0's end is heard by all others, and rank 1 prints", async () => {
  const { hub, heard, leave } = await star(3);
  await hub.end("exit code 3");
  await turn();
  assert.equal(lines(heard), ["1: 0 exit code 3, prints", "2: 0 exit code 3"]);
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

test.run();
