// Names of options and fields in words.

/** "batchSize" → "batch size"; names that have spaces already, and abbreviations, stay. */
export function readableName(name: string): string {
  return name.replace(/([a-z])([A-Z])/g, (_, last: string, first: string) => `${last} ${first.toLowerCase()}`);
}

/** "accuracy" → "Accuracy". */
export function capitalised(name: string): string {
  return `${name.charAt(0).toUpperCase()}${name.slice(1)}`;
}
