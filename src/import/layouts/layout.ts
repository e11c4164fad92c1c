// What a layout of published files says: which files it has, what their columns are called, and how they become neurons and edges.

import type { NeuronColumn } from "../../core/selector.ts";
import type { ReadProgress } from "../../io/tableFile.ts";
import type { IdDecision, IdPolicy } from "../idPolicy.ts";
import type { EdgeSource, NeuronFrame, NeuronIds } from "../types.ts";

/** A file of a layout. */
export interface LayoutFile {
  /** What it is to the import, in the provenance: "edges", "neurons", "transmitters". */
  readonly role: string;
  /** Its name where it is published, for messages. */
  readonly name: string;
  /** Names that it may have, with its folders, from the most wanted on: the first one that occurs is taken. */
  readonly patterns: readonly RegExp[];
  readonly isNeeded: boolean;
}

/** Properties that all data sets share. */
export const SHARED_COLUMNS = ["type", "superclass", "class", "side", "status", "transmitter"] as const;
export type SharedColumn = (typeof SHARED_COLUMNS)[number];

/** A column by its header, in any style ("Root ID" is root_id); or the part of its text that a pattern captures. */
export type ColumnSource = string | { readonly column: string; readonly pattern: RegExp };

/** Where the shared columns come from: for each neuron the first of these columns that has a value. */
export type SharedSources = Readonly<Partial<Record<SharedColumn, readonly ColumnSource[]>>>;

/** Which superclasses get the input, and which are read out. */
export interface RoleRule {
  readonly column: SharedColumn;
  readonly input: RegExp;
  readonly output: RegExp;
}

/** Columns that a user names, in place of those that a layout knows. */
export interface ColumnChoice {
  readonly pre?: string;
  readonly post?: string;
  /** null: every row counts 1. */
  readonly weight?: string | null;
  readonly id?: string;
}

export interface OpenLayoutOptions extends ColumnChoice {
  /** What ids are taken for. Default "auto". */
  readonly ids?: IdPolicy;
  /** What the rows of a matrix with names are. Default: what the layout says. */
  readonly rows?: "pre" | "post";
  /** Columns from the centre of an eye to its border. */
  readonly extent?: number;
  readonly onProgress?: (step: string, progress: ReadProgress) => void;
  readonly signal?: AbortSignal;
}

/** Options of some layouts. */
export type LayoutOption = "pre" | "post" | "weight" | "id" | "ids" | "rows" | "extent";

/** The files of a layout that were found, by role. */
export type FoundFiles = ReadonlyMap<string, string>;

/** The sign of a connection, by the numbers of its neurons: +1, −1, or 0 where there is none. */
export type SignOf = (pre: number, post: number) => number;

/** Neurons and edges of open files. */
export interface Dataset {
  /** null: nothing but the edges names neurons. */
  readonly neurons: NeuronFrame | null;
  /** What the ids of the neurons were taken for; null: nothing was to be decided. */
  readonly decision: IdDecision | null;
  /** [neurons], the names by which the edges know them; null: their ids. */
  readonly edgeIds: NeuronIds | null;
  readonly edges: readonly EdgeSource[];
  /** Reads the signs of connections that the files have. null: they have none. */
  readonly signOf: (() => Promise<SignOf>) | null;
  /**
   * Reads the transmitters of some neurons from their edges, where no table of neurons names them. null: the files cannot say them, or a table
   * does.
   */
  readonly transmittersOf: ((ids: NeuronIds) => Promise<NeuronColumn>) | null;
  /** [neurons], oblique coordinates of hexagonal columns; null: no places. */
  readonly places: { readonly u: Float64Array; readonly v: Float64Array } | null;
  /** What was renamed, dropped or taken for granted, a sentence each. */
  readonly notes: readonly string[];
  close(): Promise<void>;
}

/** A layout of published files. */
export interface Layout {
  /** As the command line has it. */
  readonly name: string;
  /** The data set, for people. */
  readonly title: string;
  /** Who made the data, and where it is described; null: not known. */
  readonly citation: string | null;
  readonly licence: string | null;
  readonly files: readonly LayoutFile[];
  /** Selector of the neurons where the user gives none; null: all. */
  readonly defaultNodes: string | null;
  readonly roles: RoleRule | null;
  /** Options that have an effect, of those that not all layouts take. */
  readonly takes: readonly LayoutOption[];
  /** Is found by the names of its files; others must be named. */
  readonly isRecognised: boolean;
  open(files: FoundFiles, options: OpenLayoutOptions): Promise<Dataset>;
}

/** Sensory neurons get the input; motor and descending ones are read out. */
export const SENSORY_TO_MOTOR: RoleRule = {
  column: "superclass",
  input: /sensory|afferent|^sensor/i,
  output: /motor|descending|^DN\b|^DN-/i,
};

/** Folders and a name, of a table of text or columns. */
export function tableNamed(name: string, extensions = "csv|csv\\.gz|tsv|tsv\\.gz|feather|arrow|parquet"): RegExp {
  return new RegExp(`(^|/)${name}\\.(${extensions})$`, "i");
}
