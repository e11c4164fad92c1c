// Data that came from a file or a user.

/** Whether a value is an object, but not a list. */
export function isObject(data: unknown): data is Readonly<Record<string, unknown>> {
  return typeof data === "object" && data !== null && !Array.isArray(data);
}
