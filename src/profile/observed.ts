// A backend that is watched: it behaves as the one inside, and tells an observer what is done with it and how long that took.

import type { Backend, Bindable, BoundProgram, DeviceBuffer, Executable } from "../backend/backend.ts";

export interface Observer {
  bound?(bound: BoundProgram, bindings: Readonly<Record<string, Bindable>>): void;
  /** `run` has returned: on the CPU the work is done, on a GPU it is enqueued. */
  ran?(bound: BoundProgram, ms: number): void;
  /** Elements that an upload, fill, copy or download wrote or read. */
  moved?(elements: number, ms: number): void;
  /** Downloads or `finish` were waited for; those that overlapped count once. */
  waited?(ms: number): void;
}

/** @param facts  what the watched backend says of itself in place of the inner one */
export function observed(
  inner: Backend,
  observer: Observer,
  facts: Partial<Pick<Backend, "isAsynchronous">> = {},
): Backend {
  const timed = (work: () => void): number => {
    const start = performance.now();
    work();
    return performance.now() - start;
  };
  let pending = 0;
  let waitingSince = 0;
  const waiting = async <T>(work: () => Promise<T>): Promise<T> => {
    if (pending++ === 0) waitingSince = performance.now();
    try {
      return await work();
    } finally {
      if (--pending === 0) observer.waited?.(performance.now() - waitingSince);
    }
  };
  const watched: Partial<Backend> = {
    ...facts,
    bind(executable: Executable, bindings: Readonly<Record<string, Bindable>>) {
      const bound = inner.bind(executable, bindings);
      observer.bound?.(bound, bindings);
      return bound;
    },
    run(bound: BoundProgram) {
      const ms = timed(() => inner.run(bound));
      observer.ran?.(bound, ms);
    },
    upload(target: DeviceBuffer, data: ArrayLike<number>, offset?: number) {
      const ms = timed(() => inner.upload(target, data, offset));
      observer.moved?.(data.length, ms);
    },
    fill(target: DeviceBuffer, value: number) {
      const ms = timed(() => inner.fill(target, value));
      observer.moved?.(target.length, ms);
    },
    copy(target: DeviceBuffer, source: DeviceBuffer) {
      const ms = timed(() => inner.copy(target, source));
      observer.moved?.(2 * target.length, ms);
    },
    download(source: DeviceBuffer, offset?: number, length?: number) {
      observer.moved?.(length ?? source.length - (offset ?? 0), 0);
      return waiting(() => inner.download(source, offset, length));
    },
    finish: () => waiting(() => inner.finish()),
  };
  return new Proxy(inner, {
    get(target, key) {
      const own: unknown = Reflect.get(watched, key);
      if (own !== undefined) return own;
      const value: unknown = Reflect.get(target, key);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}
