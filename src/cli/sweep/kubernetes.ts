// Runs of a sweep as an Indexed Job of Kubernetes (https://kubernetes.io/docs/concepts/workloads/controllers/job): one manifest, one index per
// run. No API server is asked: `kubectl` submits the manifest.

import { createHash } from "node:crypto";
import { rm } from "node:fs/promises";
import { basename, isAbsolute, join, relative, resolve } from "node:path";
import type { IJob } from "kubernetes-models/batch/v1/Job";
import { ArgumentError, nearestName } from "../../core/errors.ts";
import { printable, quoteText, shellWord } from "../../core/text.ts";
import { VERSION } from "../../core/version.ts";
import { replaceFile } from "../../io/durable.ts";
import { yamlText } from "../yamlFile.ts";
import type { RunState, SweepFolder } from "./sweepFolder.ts";
import { type TaskShell, taskScript } from "./taskScript.ts";

const MANIFEST = "kubernetes.yaml";

interface OptionKind {
  readonly pattern: RegExp;
  /** The expected value, for an error message. */
  readonly expected: string;
}

/** Names of most objects (RFC 1123). */
const SUBDOMAIN = /^(?=.{1,253}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const LABEL_NAME = "[A-Za-z0-9]([-\\w.]{0,61}[A-Za-z0-9])?";
const PREFIXED_NAME = `([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?${LABEL_NAME}`;

/** What `--kubernetes-option` takes; the first five must be given. */
const KEYS = [
  "image",
  "claim",
  "mount",
  "cpu",
  "memory",
  "sub-path",
  "namespace",
  "user",
  "gpu-resource",
  "node-selector",
  "priority-class",
  "retries",
  "grace",
] as const;

type Key = (typeof KEYS)[number];

const OPTIONS: Readonly<Record<Key, OptionKind>> = {
  image: {
    pattern: /^[A-Za-z0-9][\w.:/@-]*$/,
    expected: `an image with axograd in its PATH, like registry.example/axograd:${VERSION}`,
  },
  claim: { pattern: SUBDOMAIN, expected: "the name of a PersistentVolumeClaim, on whose volume the sweep lies" },
  mount: { pattern: /^(?!\/+$)\/[^:\p{Cc}]+$/u, expected: "the path of the claim here and in pods, like /data" },
  cpu: {
    pattern: /^(?!0*(\.0*)?m?$)(\d+(\.\d{1,3})?|\d+m)$/,
    expected: "CPUs of a pod, like 4 or 500m; a run has as many threads",
  },
  memory: { pattern: /^(?!0*(\.0*)?[MGT])\d+(\.\d+)?[MGT]i?$/, expected: "memory of a pod, like 8Gi or 500Mi" },
  "sub-path": {
    pattern: /^(?!\/)(?!(.*\/)?\.\.(\/|$))[^:\p{Cc}]+$/u,
    expected: "a folder within the claim, mounted in place of all of it",
  },
  namespace: { pattern: /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/, expected: "the namespace of the job" },
  user: {
    pattern: /^[1-9]\d{0,9}(:\d{1,10})?$/,
    expected: "user and group of the processes, like 1000:1000, not root",
  },
  "gpu-resource": {
    pattern: new RegExp(`^(?=.*/)${PREFIXED_NAME}$`),
    expected: "the device of --gpus 1, like nvidia.com/gpu or amd.com/gpu",
  },
  "node-selector": {
    pattern: new RegExp(`^${PREFIXED_NAME}=(${LABEL_NAME})?$`),
    expected: "a label of nodes, like disk=ssd; may be repeated",
  },
  "priority-class": { pattern: SUBDOMAIN, expected: "the name of a PriorityClass, which says who is evicted first" },
  retries: { pattern: /^\d{1,3}$/, expected: "how often a run that failed is tried again, at most 999" },
  grace: { pattern: /^[1-9]\d{0,4}$/, expected: "seconds from SIGTERM to SIGKILL, at least 1" },
};

const REQUIRED = ["image", "claim", "mount", "cpu", "memory"] as const satisfies readonly Key[];
const DEFAULTS = {
  retries: "2",
  // For a step, and a checkpoint on a slow volume.
  grace: "120",
  "gpu-resource": "nvidia.com/gpu",
} as const;

/** The options, one a line. */
export const KUBERNETES_HELP: string = KEYS.map((key) => {
  const value = new Map<string, string>(Object.entries(DEFAULTS)).get(key);
  const more = REQUIRED.some((name) => name === key)
    ? " (required)"
    : value === undefined
      ? ""
      : ` (default: ${value})`;
  return `  ${key.padEnd(16)}${OPTIONS[key].expected}${more}`;
}).join("\n");

/** Bytes of the slug in a job's name; with an index of six digits, all is below the 63 of a host name. */
const SLUG_LENGTH = 32;

/** Exit codes of a pod that fails in the same way again: wrong input; the shell's for a program that cannot be started. */
const FINAL_CODES = [2, 126, 127];
/** The exit code of a run that SIGTERM stopped, with a checkpoint. */
const STOPPED_CODE = 143;

/** What a manifest needs to know besides the runs. */
export interface KubernetesOptions {
  /** `key=value`. */
  readonly options: readonly string[];
  /** Pods at a time; null: as many as the cluster starts. */
  readonly parallel: number | null;
  /** GPUs of a pod; null: none. */
  readonly gpus: number | null;
  /** Processes of a run; null: one. */
  readonly ranks: number | null;
  /** Runs that are stated to take more memory than there is are refused. */
  readonly memoryCheck: boolean;
}

/** Splits and checks `key=value`. */
export function kubernetesOption(text: string): readonly [key: Key, value: string] {
  const [, key = text, value = ""] = /^([^=]*)=(.*)$/su.exec(text) ?? [];
  if (!isKey(key)) {
    const near = nearestName(key, KEYS);
    const got = `${quoteText(key)}${near ? `, did you mean "${near}"?` : ""}`;
    throw new ArgumentError("command line", "--kubernetes-option", `key=value with one of ${KEYS.join(", ")}`, got);
  }
  const { pattern, expected } = OPTIONS[key];
  if (pattern.test(value)) return [key, value];
  throw new ArgumentError("command line", `--kubernetes-option ${key}`, expected, quoteText(value));
}

function isKey(key: string): key is Key {
  return Object.hasOwn(OPTIONS, key);
}

type Values = Readonly<Record<(typeof REQUIRED)[number], string>> &
  Partial<Readonly<Record<Key, string>>> & { readonly labels: readonly string[] };

/** @throws {ArgumentError} options that are missing, or given twice */
function valuesOf(options: readonly string[]): Values {
  const pairs = options.map(kubernetesOption);
  const labels = pairs.filter(([key]) => key === "node-selector").map(([, value]) => value);
  const single = pairs.filter(([key]) => key !== "node-selector");
  const values: Partial<Record<Key, string>> = Object.fromEntries(single);
  const fail = (expected: string, got: string): never => {
    throw new ArgumentError("sweep", "--kubernetes-option", expected, got);
  };
  const twice = single.find(([key, value]) => values[key] !== value);
  if (twice) fail(`${twice[0]} once`, `${twice[1]} and ${values[twice[0]]}`);
  const missing = REQUIRED.filter((key) => values[key] === undefined);
  if (missing.length > 0) {
    const given = pairs.map(([key]) => key).join(", ");
    fail(
      missing.map((key) => `${key}=… (${OPTIONS[key].expected})`).join(", "),
      given === "" ? "none" : `only ${given}`,
    );
  }
  return { ...(values as Values), labels };
}

/**
 * Checks what can be known before any run is looked at.
 *
 * @throws {ArgumentError} options that are missing, or contradict each other, the folder or this machine
 */
export function checkKubernetesOptions(
  folder: SweepFolder,
  { options, gpus, ranks }: KubernetesOptions,
  dryRun: boolean,
): void {
  if (!dryRun) {
    const expected = "--dry-run with it: axograd writes the manifest, and kubectl apply submits it";
    throw new ArgumentError("sweep", "--launcher kubernetes", expected, "none");
  }
  const values = valuesOf(options);
  const { mount } = values;
  const held = { "the folder of the sweep": resolve(folder.path), "the working directory": process.cwd() };
  for (const [what, path] of Object.entries(held)) {
    if (isBelow(mount, path)) continue;
    const expected = `a folder that holds ${what}, as pods find the claim there; work on the shared volume`;
    throw new ArgumentError("sweep", "--kubernetes-option mount", expected, `${mount}, which does not hold ${path}`);
  }
  if (ranks !== null && ranks > 1) {
    const expected =
      "1 with --launcher kubernetes, as pods of a job form no MPI launch; an MPIJob of the MPI Operator does";
    throw new ArgumentError("sweep", "--ranks", expected, `${ranks}`);
  }
  if (gpus !== null && gpus > 1) {
    throw new ArgumentError("sweep", "--gpus", "at most 1, as a pod is one process, which uses one GPU", `${gpus}`);
  }
  if (gpus === null && values["gpu-resource"] !== undefined) {
    throw new ArgumentError("sweep", "--kubernetes-option gpu-resource", "--gpus 1 with it", "no --gpus");
  }
}

function isBelow(parent: string, path: string): boolean {
  const inside = relative(parent, path);
  return inside === "" || (!/^\.\.(\/|$)/.test(inside) && !isAbsolute(inside));
}

/** What was written. */
export interface WrittenJob {
  /** The manifest. */
  readonly file: string;
  /** The name of the job. */
  readonly name: string;
}

/** Writes the manifest of a job that does these runs, and the script of its pods; null: there are no runs, and so no manifest. */
export async function writeKubernetesJob(
  folder: SweepFolder,
  states: readonly RunState[],
  options: KubernetesOptions,
): Promise<WrittenJob | null> {
  const file = join(folder.path, MANIFEST);
  if (states.length === 0) {
    await rm(file, { force: true });
    return null;
  }
  const { script, manifest, name } = kubernetesJob(folder, states, options);
  await replaceFile(script.file, [script.text]);
  await replaceFile(file, [manifest]);
  return { file, name };
}

/** The texts of a job. */
export function kubernetesJob(
  folder: SweepFolder,
  states: readonly RunState[],
  options: KubernetesOptions,
): {
  readonly name: string;
  readonly script: { readonly file: string; readonly text: string };
  readonly manifest: string;
} {
  const values = valuesOf(options.options);
  const text = podScript(folder, states, values, options);
  // Equal runs make an equal name: the API server refuses a job that it has already.
  const hash = createHash("sha256").update(text).digest("hex").slice(0, 8);
  const slug = slugOf(basename(resolve(folder.path)));
  const name = `axograd-${slug}-${hash}`;
  // Pods of an earlier job may still start: no script replaces another one.
  const script = { file: join(resolve(folder.path), `kubernetes-${hash}.sh`), text };
  const job = jobOf(
    { name, slug, folder: resolve(folder.path), script: script.file, runs: states.length },
    values,
    options,
  );
  const apply = `kubectl apply -f ${shellWord(join(resolve(folder.path), MANIFEST))}`;
  // kubectl reads YAML 1.1, in which yes, on, 012 and 1:30 are no texts.
  const manifest = `# ${printable(apply)}\n# Index k is the run in line k + 1 of the list in ${printable(script.file)}.\n${yamlText({ ...job }, "1.1")}`;
  return { name, script, manifest };
}

/** Text as part of a name (RFC 1123). */
function slugOf(text: string): string {
  const slug = text
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .replace(/^-+/, "")
    .slice(0, SLUG_LENGTH)
    .replace(/-+$/, "");
  return slug === "" ? "sweep" : slug;
}

/**
 * The output of a pod goes to its log, which `collect` reads, and to `kubectl logs`. The shell is the first process of its container: it ends last,
 * so that no line is lost, and passes SIGTERM on, which the kernel keeps from a first process without a handler.
 */
function podScript(
  folder: SweepFolder,
  states: readonly RunState[],
  { cpu }: Values,
  { memoryCheck }: KubernetesOptions,
): string {
  const shell: TaskShell = {
    program: "axograd",
    threads: `--threads ${threadsOf(cpu)}`,
    open: `pipe=$(mktemp -u) && mkfifo "$pipe" || exit 1
tee "$log" < "$pipe" &
tee=$!
exec 3> "$pipe"
rm "$pipe"`,
    close: `exec 3>&-
wait "$tee"`,
    traps: `trap 'kill -TERM "$train"' TERM`,
    task: "pod $(uname -n)",
  };
  return `#!/bin/sh
# Does the run of one index of a job: begins it, or continues it.
name=$(sed -n "$((\${JOB_COMPLETION_INDEX:?} + 1))p" << 'END'
${states.map(({ run }) => `${run.name}\n`).join("")}END
)
${taskScript(folder, states, shell, memoryCheck)}exit "$code"
`;
}

/** Whole threads that a number of CPUs can run. */
function threadsOf(cpu: string): number {
  const cpus = cpu.endsWith("m") ? Number(cpu.slice(0, -1)) / 1000 : Number(cpu);
  return Math.max(1, Math.floor(cpus));
}

interface JobParts {
  readonly name: string;
  readonly slug: string;
  readonly folder: string;
  readonly script: string;
  readonly runs: number;
}

function jobOf(
  { name, slug, folder, script, runs }: JobParts,
  values: Values,
  { parallel, gpus }: KubernetesOptions,
): IJob {
  const labels = {
    "app.kubernetes.io/name": "axograd",
    "app.kubernetes.io/version": VERSION,
    "app.kubernetes.io/instance": slug,
  };
  const { namespace, user, "priority-class": priority, "sub-path": subPath } = values;
  const resource = values["gpu-resource"] ?? DEFAULTS["gpu-resource"];
  const nodeSelector = Object.fromEntries(values.labels.map((label) => label.split("=") as [string, string]));
  return {
    apiVersion: "batch/v1",
    kind: "Job",
    metadata: { name, ...(namespace && { namespace }), labels, annotations: { "axograd/sweep": folder } },
    spec: {
      completions: runs,
      parallelism: Math.min(parallel ?? runs, runs),
      completionMode: "Indexed",
      backoffLimitPerIndex: Number(values.retries ?? DEFAULTS.retries),
      // Never two pods for one run.
      podReplacementPolicy: "Failed",
      podFailurePolicy: {
        rules: [
          // Preempted, evicted, its node drained: continues elsewhere, as often as it takes.
          { action: "Ignore", onPodConditions: [{ type: "DisruptionTarget", status: "True" }] },
          { action: "Ignore", onExitCodes: { containerName: "train", operator: "In", values: [STOPPED_CODE] } },
          { action: "FailIndex", onExitCodes: { containerName: "train", operator: "In", values: FINAL_CODES } },
        ],
      },
      template: {
        metadata: { labels: { ...labels } },
        spec: {
          restartPolicy: "Never",
          terminationGracePeriodSeconds: Number(values.grace ?? DEFAULTS.grace),
          automountServiceAccountToken: false,
          enableServiceLinks: false,
          ...(priority && { priorityClassName: priority }),
          ...(values.labels.length > 0 && { nodeSelector }),
          securityContext: { seccompProfile: { type: "RuntimeDefault" }, ...(user && identityOf(user)) },
          containers: [
            {
              name: "train",
              image: values.image,
              command: ["/bin/sh", unexpanded(script)],
              ...(gpus !== null && isNvidia(resource) && { env: NVIDIA_ENV }),
              // Requests are equal to limits where only these are given.
              resources: {
                limits: { cpu: values.cpu, memory: values.memory, ...(gpus !== null && { [resource]: `${gpus}` }) },
              },
              volumeMounts: [{ name: "sweep", mountPath: values.mount, ...(subPath && { subPath }) }],
              // The last lines of the output say why a pod failed.
              terminationMessagePolicy: "FallbackToLogsOnError",
              securityContext: {
                allowPrivilegeEscalation: false,
                // Root without capabilities could not write into folders of others.
                ...(user && { capabilities: { drop: ["ALL"] } }),
              },
            },
          ],
          volumes: [{ name: "sweep", persistentVolumeClaim: { claimName: values.claim } }],
        },
      },
    },
  };
}

function isNvidia(resource: string): boolean {
  return resource.startsWith("nvidia.com/");
}

/** Without "graphics", NVIDIA's container toolkit leaves Vulkan out. */
const NVIDIA_ENV = [{ name: "NVIDIA_DRIVER_CAPABILITIES", value: "compute,graphics,utility" }];

function identityOf(user: string): { runAsNonRoot: true; runAsUser: number; runAsGroup?: number } {
  const [id, group] = user.split(":").map(Number) as [number, number?];
  return { runAsNonRoot: true, runAsUser: id, ...(group !== undefined && { runAsGroup: group }) };
}

/** The kubelet expands `$(NAME)` in a command, and takes `$$` for `$`. */
function unexpanded(text: string): string {
  return text.replaceAll("$", "$$$$");
}
