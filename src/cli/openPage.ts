// Opens a file in the user's browser, with the system's command.

import { spawn } from "node:child_process";
import { resolve } from "node:path";
import { EngineError } from "../core/errors.ts";

/** A command that runs longer is the browser itself, which stays open. */
const PATIENCE_MS = 3000;

/** The command that opens `file`; null: there is no screen. */
export function openCommand(
  file: string,
  platform: NodeJS.Platform = process.platform,
  env: NodeJS.ProcessEnv = process.env,
): readonly [command: string, ...args: string[]] | null {
  const path = resolve(file);
  if (platform === "darwin") return ["open", path];
  // Unlike `start`, it takes any path as it is.
  if (platform === "win32") return ["rundll32", "url.dll,FileProtocolHandler", path];
  return env.DISPLAY || env.WAYLAND_DISPLAY || env.BROWSER ? ["xdg-open", path] : null;
}

/**
 * @param found  the command that opens it
 * @throws {EngineError} "no-browser": there is no screen, or the system's command failed; the page itself is fine
 */
export async function openPage(
  file: string,
  found: readonly [command: string, ...args: string[]] | null = openCommand(file),
): Promise<void> {
  const refuse = (got: string): never => {
    throw new EngineError("no-browser", `open: expected a browser for ${file}, got ${got}`, { file, got });
  };
  if (!found)
    return refuse("a system without a screen (no DISPLAY, WAYLAND_DISPLAY or BROWSER); copy the page to another one");
  const [command, ...args] = found;
  const child = spawn(command, args, { stdio: "ignore", detached: true });
  const failure = await new Promise<string | null>((done) => {
    const timer = setTimeout(() => done(null), PATIENCE_MS);
    child.once("error", (error: NodeJS.ErrnoException) => {
      clearTimeout(timer);
      done(error.code === "ENOENT" ? `no ${command} on this system` : error.message);
    });
    child.once("close", (code) => {
      clearTimeout(timer);
      done(code === 0 ? null : `exit code ${code} from ${command}`);
    });
  });
  child.unref();
  if (failure) refuse(failure);
}
