// Names of the program as the command line writes them.

/** "exponential-euler" for "exponentialEuler". */
export function hyphenated(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}
