// A strict reader of XML 1.0 without DTD: what is wrong with a document first, or null.

/** What XML 1.0, §2.2, has no place for. */
const ILLEGAL = /[^\t\n\r\x20-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/u;
const TAG = /^<(\/?)([A-Za-z_][\w.-]*)((?:\s+[A-Za-z_][\w:.-]*="[^"<]*")*)\s*(\/?)>/;
const ENTITY = /&(?!(?:amp|lt|gt|quot|apos|#\d+|#x[\da-fA-F]+);)/;

/** The first fault of `text`, one element with its content; null: it is well formed. */
export function xmlFault(text: string): string | null {
  const illegal = ILLEGAL.exec(text);
  if (illegal) return `U+${illegal[0].codePointAt(0)!.toString(16)}`;
  if (ENTITY.test(text)) return "a & that begins no reference";
  for (const [, code] of text.matchAll(/&#(\d+);/g)) {
    if (ILLEGAL.test(String.fromCodePoint(Number(code)))) return `a reference to U+${Number(code).toString(16)}`;
  }
  const open: string[] = [];
  let closed = false;
  for (let at = 0; at < text.length; ) {
    const next = text.indexOf("<", at);
    const content = text.slice(at, next < 0 ? text.length : next);
    if (open.length === 0 && content.trim() !== "") return `text outside of elements: ${content.slice(0, 20)}`;
    if (next < 0) break;
    const tag = TAG.exec(text.slice(next));
    if (!tag) return `no tag: ${text.slice(next, next + 40)}`;
    const [whole, end, name, attributes, empty] = tag;
    const keys = [...attributes!.matchAll(/\s([\w:.-]+)=/g)].map((match) => match[1]);
    if (new Set(keys).size < keys.length) return `an attribute twice: ${whole}`;
    if (end) {
      if (open.pop() !== name) return `</${name}> closes another element`;
    } else {
      if (open.length === 0 && closed) return `a second root, ${name}`;
      if (!empty) open.push(name!);
    }
    closed ||= open.length === 0;
    at = next + whole!.length;
  }
  return open.length > 0 ? `${open.at(-1)} is not closed` : null;
}
