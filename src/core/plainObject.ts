// Data that came from a file or a user.

/** Whether it has parts with names: an object, but no list. */
export function isObject(data: unknown): data is Readonly<Record<string, unknown>> {
  return typeof data === "object" && data !== null && !Array.isArray(data);
}
