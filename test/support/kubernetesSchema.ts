// Manifests against the schema of Kubernetes.

import { Job } from "kubernetes-models/batch/v1/Job";

/**
 * The faults of a manifest according to the schema of batch/v1 Job (OpenAPI of Kubernetes, compiled by kubernetes-models). The schema allows
 * unknown fields, which an API server refuses or drops; as its validator reads every field that it knows, they are those that it does not read.
 */
export function jobFaults(manifest: object): string[] {
  const read = new Set<string>();
  const faults: string[] = [];
  try {
    Job.prototype.validate.call(watched(manifest, "", read) as Job);
  } catch (error) {
    faults.push(String(error));
  }
  const unread = pathsOf(manifest, "").filter((path) => !read.has(path));
  return [...faults, ...unread.map((path) => `${path} is unknown`)];
}

/** A view of data that notes the paths of all fields that are read. */
function watched(data: object, path: string, read: Set<string>): object {
  return new Proxy(data, {
    get(target, key): unknown {
      const value: unknown = Reflect.get(target, key);
      if (typeof key === "symbol") return value;
      read.add(`${path}/${key}`);
      return typeof value === "object" && value !== null ? watched(value, `${path}/${key}`, read) : value;
    },
  });
}

function pathsOf(data: unknown, path: string): string[] {
  if (typeof data !== "object" || data === null) return [];
  return Object.entries(data).flatMap(([key, value]) => [`${path}/${key}`, ...pathsOf(value, `${path}/${key}`)]);
}
