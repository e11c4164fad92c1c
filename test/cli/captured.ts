// What code of this process prints, as another process would get it through pipes.

export interface Texts {
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs `action` and keeps what it writes to stdout and stderr; neither is a terminal meanwhile. */
export async function captured(action: () => unknown): Promise<Texts> {
  const texts = { stdout: "", stderr: "" };
  const restore = (["stdout", "stderr"] as const).map((name) => {
    const stream = process[name];
    const { write, isTTY } = stream;
    const listeners = stream.rawListeners("error") as (() => void)[];
    stream.write = (chunk: string | Uint8Array): boolean => {
      texts[name] += String(chunk);
      return true;
    };
    stream.isTTY = false;
    return () => {
      Object.assign(stream, { write, isTTY });
      stream.removeAllListeners("error");
      for (const listener of listeners) stream.on("error", listener);
    };
  });
  try {
    await action();
  } finally {
    for (const undo of restore) undo();
  }
  return texts;
}
