// The record of a study in its folder: its design, the protocol that it follows, and what was done otherwise.

import { join } from "node:path";
import { ArgumentError } from "../../core/errors.ts";
import { VERSION } from "../../core/version.ts";
import { replaceFile } from "../../io/durable.ts";
import { exists } from "../../io/files.ts";
import { JsonParts } from "../../io/jsonParts.ts";
import { readTextFile } from "../../io/textFile.ts";
import { type Design, type Deviation, designTexts, differencesOf, readDesign } from "./design.ts";
import { type Protocol, type ProtocolFile, protocolTexts, readProtocol } from "./protocol.ts";

const FILES = { record: "controls.json", protocol: "protocol.json" } as const;

export interface Study {
  readonly design: Design;
  /** null: none was written before the runs. */
  readonly protocol: ProtocolFile | null;
  readonly deviations: readonly Deviation[];
}

/** The study in a folder; null: it has none. @throws {FileFormatError} a damaged record */
export async function readStudy(folder: string): Promise<Study | null> {
  const file = join(folder, FILES.record);
  if (!(await exists(file))) return null;
  const parts = JsonParts.parse(file, await readTextFile(file, "the record of a study"), "the record of a study");
  const sha256 = parts.textOrNull("protocol");
  const protocol = sha256 === null ? null : await readProtocol(join(folder, FILES.protocol));
  if (protocol && protocol.sha256 !== sha256) {
    throw parts.error("protocol", `the SHA-256 of ${FILES.protocol}, ${protocol.sha256}`);
  }
  const deviations = parts.objects("deviations").map((it) => ({
    what: it.text("what"),
    planned: it.text("planned"),
    actual: it.text("actual"),
    reason: it.textOrNull("reason"),
    date: it.textOrNull("date"),
  }));
  return { design: readDesign(file, parts.object("design")), protocol, deviations };
}

export async function writeStudy(folder: string, { design, protocol, deviations }: Study): Promise<void> {
  if (protocol) await replaceFile(join(folder, FILES.protocol), [protocol.text]);
  const record = { axograd: VERSION, design, protocol: protocol?.sha256 ?? null, deviations };
  await replaceFile(join(folder, FILES.record), [`${JSON.stringify(record, null, 2)}\n`]);
}

/** A study as it is to be run now. */
export interface StudyNow {
  readonly design: Design;
  readonly protocol: ProtocolFile | null;
  /** What a protocol would be if it were written now; null: nothing is to be run. */
  readonly actual: Protocol | null;
  /** Why it may deviate; null: it must not. */
  readonly reason: string | null;
}

/**
 * The study with all deviations: from its protocol, and from what the folder has on record.
 *
 * @param earlier  what the folder has on record
 * @param nBegun   number of runs that have begun there
 * @throws {ArgumentError} a deviation from a protocol without a reason
 */
export function reconciled(now: StudyNow, earlier: Study | null, nBegun: number): Study {
  const { design, actual, reason } = now;
  const protocol = now.protocol ?? earlier?.protocol ?? null;
  const known = nBegun > 0 && earlier ? earlier.deviations : [];
  const found = [
    ...(protocol && actual
      ? differencesOf(protocolTexts(protocol.protocol), protocolTexts(actual))
      : protocol
        ? differencesOf(designTexts(protocol.protocol.design), designTexts(design))
        : nBegun > 0 && earlier
          ? differencesOf(designTexts(earlier.design), designTexts(design))
          : []),
    ...lateness(now.protocol, earlier, nBegun),
  ];
  const isKnown = (it: (typeof found)[number]): boolean =>
    known.some(({ what, planned, actual: then }) => what === it.what && planned === it.planned && then === it.actual);
  const fresh = found.filter((it) => !isKnown(it));
  if (protocol !== null && reason === null && fresh.length > 0) refuse(fresh);
  const date = new Date().toISOString();
  return { design, protocol, deviations: [...known, ...fresh.map((it) => ({ ...it, reason, date }))] };
}

/** A protocol must be there before the runs. */
function lateness(protocol: ProtocolFile | null, earlier: Study | null, nBegun: number) {
  if (protocol === null || nBegun === 0 || earlier?.protocol?.sha256 === protocol.sha256) return [];
  const before = earlier?.protocol ? `begun with the protocol ${earlier.protocol.sha256}` : "begun without a protocol";
  return [{ what: "runs in the folder", planned: "none before this protocol", actual: `${nBegun}, ${before}` }];
}

function refuse([first, ...others]: readonly Pick<Deviation, "what" | "planned" | "actual">[]): never {
  const more = others.length === 0 ? "" : `; and ${others.map(({ what }) => what).join(", ")}`;
  const expected = `${first!.planned}, as the protocol says (--deviate "reason" records another)`;
  throw new ArgumentError("controls --protocol", first!.what, expected, `${first!.actual}${more}`);
}
