// The progress of training for people: one line on a terminal that is rewritten in place, or a plain line now and then elsewhere.

import { printable } from "../core/text.ts";
import { type MetricDescription, metricText } from "./taskDescription.ts";
import type { StepMetrics } from "./trainer.ts";

/** What is written to; `process.stderr` is one. */
export interface ProgressStream {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

/** How progress is shown. */
export interface ProgressOptions {
  /** The metric that is shown; default: none. */
  readonly metric?: MetricDescription | null;
  /** Default: on a terminal, unless the environment has NO_COLOR (https://no-color.org). */
  readonly colour?: boolean;
  /** Seconds between lines: default 0.1 on a terminal, else 10. */
  readonly interval?: number;
  /** Clock in seconds. */
  readonly now?: () => number;
}

const ERASE_LINE = "\r\x1b[K";
const DIM = "\x1b[2m";
const RESET = "\x1b[0m";

/** One line that is shown now and then: rewritten in place on a terminal, a plain line elsewhere. */
export class StatusLine {
  readonly #stream: ProgressStream;
  readonly #tty: boolean;
  readonly #colour: boolean;
  readonly #interval: number;
  readonly #now: () => number;
  #last = Number.NEGATIVE_INFINITY;

  constructor(stream: ProgressStream, options: ProgressOptions = {}) {
    this.#stream = stream;
    this.#tty = stream.isTTY ?? false;
    this.#colour = options.colour ?? (this.#tty && !process.env.NO_COLOR);
    this.#interval = options.interval ?? (this.#tty ? 0.1 : 10);
    this.#now = options.now ?? (() => performance.now() / 1000);
  }

  /** Shows a line, unless the last time was just now and the line need not be seen. */
  show(text: () => string, { always = false }: { readonly always?: boolean } = {}): void {
    const now = this.#now();
    if (now - this.#last < this.#interval && !always) return;
    this.#last = now;
    const line = printable(text());
    if (!this.#tty) {
      this.#stream.write(`${line}\n`);
      return;
    }
    // One column is left free: a full line would wrap, and could not be erased.
    const visible = line.slice(0, (this.#stream.columns ?? 80) - 1);
    this.#stream.write(ERASE_LINE + (this.#colour ? dimLabels(visible) : visible));
  }

  /** Removes the line from a terminal, before something else is written there. */
  clear(): void {
    if (this.#tty) this.#stream.write(ERASE_LINE);
  }
}

/** The progress of a training. */
export class Progress {
  readonly #line: StatusLine;
  readonly #metric: MetricDescription | null;

  constructor(stream: ProgressStream, { metric = null, ...options }: ProgressOptions = {}) {
    this.#line = new StatusLine(stream, options);
    this.#metric = metric;
  }

  /** Shows the state after a step, unless the last time was just now. The last step is always shown. */
  update(metrics: StepMetrics): void {
    this.#line.show(() => progressLine(metrics, this.#metric), { always: metrics.step >= metrics.lastStep });
  }

  /** Removes the line from a terminal, before something else is written there. */
  clear(): void {
    this.#line.clear();
  }
}

/** "step 120/250  loss 0.4123  accuracy 88.3 %  12.1 steps/s  26 RHS/step  0:11 left"; loss and metric are running means. */
export function progressLine(m: StepMetrics, metric: MetricDescription | null = null): string {
  const isEndless = m.lastStep === Number.POSITIVE_INFINITY;
  return [
    isEndless ? `step ${m.step}` : `step ${m.step}/${m.lastStep}`,
    `loss ${m.meanLoss.toFixed(4)}`,
    ...(metric ? [`${metric.name} ${metricText(metric, m.meanMetrics[metric.name] ?? Number.NaN, 1)}`] : []),
    `${m.stepsPerSecond.toPrecision(3)} steps/s`,
    ...(m.solver ? [`${m.solver.rhsEvaluations} RHS/step`] : []),
    ...(m.solver?.failed ? [`${m.solver.failed} failed`] : []),
    ...(isEndless ? [] : [`${duration(m.eta)} left`]),
  ].join("  ");
}

/** Time left of work that begins now, from the share that is done: "0:41 left". */
export function timeLeft(): (share: number) => string {
  const start = performance.now();
  return (share) => `${duration((((performance.now() - start) / 1000) * (1 - share)) / share)} left`;
}

/** 0:07, 12:05, 1:02:03. */
export function duration(seconds: number): string {
  const whole = Math.round(seconds);
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (n: number) => `${n}`.padStart(2, "0");
  return h > 0 ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

/** Words are dimmed, so that the numbers stand out. */
function dimLabels(line: string): string {
  return line.replace(/[a-zA-Z%][a-zA-Z/%]*/g, (word) => `${DIM}${word}${RESET}`);
}
