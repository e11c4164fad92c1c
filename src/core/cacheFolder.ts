// The folder for what a machine remembers and can do without.

import { homedir } from "node:os";
import { isAbsolute, join } from "node:path";

/** `$XDG_CACHE_HOME/axograd`, or such a folder where the system has them. */
export function cacheFolder(
  env: Readonly<Record<string, string | undefined>> = process.env,
  platform: string = process.platform,
  home: string = homedir(),
): string {
  const { XDG_CACHE_HOME: xdg, LOCALAPPDATA: local } = env;
  const usual =
    platform === "darwin"
      ? join(home, "Library", "Caches")
      : platform === "win32"
        ? local || join(home, "AppData", "Local")
        : join(home, ".cache");
  // By its specification, a relative path there does not count.
  return join(xdg && isAbsolute(xdg) ? xdg : usual, "axograd");
}
