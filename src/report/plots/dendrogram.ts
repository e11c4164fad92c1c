// A tree of clusters: each merge at its distance, things as rows, coloured by cluster, with a text beside each.

import { scaleLinear } from "d3-scale";
import { formatNumber } from "../../core/format.ts";
import type { Clusters } from "../../stats/clusters.ts";
import { AXIS_BOTTOM, bottomAxis } from "../axes.ts";
import type { Drawing, Figure } from "../figure.ts";
import { at, element, fitted, label, textWidth } from "../svg.ts";

/** A thing of the tree. */
export interface Leaf {
  readonly name: string;
  /** Beside the name: its performance. */
  readonly text: string;
}

const PITCH = 26;
const TOP = 10;
/** Names and texts take at most this share of the width. */
const NAMES = 0.5;
/** Of clusters, in turn; lines above the clusters are ink. */
const COLOURS = ["blue", "orange", "purple"] as const;

export function dendrogramFigure(
  words: Pick<Figure, "id" | "title" | "caption">,
  tree: Clusters,
  leaves: readonly Leaf[],
  distance: string,
): Figure {
  return {
    ...words,
    span: "half",
    draw: (width) => draw(tree, leaves, distance, width),
    table: {
      columns: ["member", "cluster", "performance"],
      rows: tree.order.map((i) => [leaves[i]!.name, tree.labels[i]! + 1, leaves[i]!.text]),
    },
  };
}

function draw(
  { merges, order, labels, count }: Clusters,
  leaves: readonly Leaf[],
  distance: string,
  fullWidth: number,
): Drawing {
  const n = leaves.length;
  const textOf = ({ name, text }: Leaf): string => (text === "" ? name : `${name}  ${text}`);
  const room = Math.min(Math.max(...leaves.map((leaf) => textWidth(textOf(leaf)))) + 20, NAMES * fullWidth);
  const width = fullWidth - room - 12;
  const height = n * PITCH;
  const x = scaleLinear([0, merges.at(-1)?.height || 1], [width, 0]).nice(4);
  // Where each cluster of the tree is drawn: its row, its distance, and which cluster of the result it is within.
  const nodes: { y: number; x: number; label: number | null }[] = Array.from({ length: n }, (_, i) => ({
    y: order.indexOf(i) * PITCH + PITCH / 2,
    x: x(0),
    label: labels[i]!,
  }));
  const classOf = (node: { readonly label: number | null }): string =>
    node.label === null || count === 1 ? "ink" : COLOURS[node.label % COLOURS.length]!;
  const lines = merges.map(({ left, right, height: merged }) => {
    const [a, b] = [nodes[left]!, nodes[right]!];
    const node = { y: (a.y + b.y) / 2, x: x(merged), label: a.label === b.label ? a.label : null };
    nodes.push(node);
    const arm = (child: typeof a): string =>
      element("line", { class: `line ${classOf(child)}`, x1: child.x, x2: node.x, y1: child.y, y2: child.y });
    return (
      arm(a) + arm(b) + element("line", { class: `line ${classOf(node)}`, x1: node.x, x2: node.x, y1: a.y, y2: b.y })
    );
  });
  const names = leaves.map((leaf, i) =>
    label(width + 12, nodes[i]!.y + 4, fitted(textOf(leaf), room), { class: classOf(nodes[i]!) }),
  );
  const axis = bottomAxis(x, width, height, { label: distance, ticks: x.ticks(4), format: formatNumber });
  return { height: TOP + height + AXIS_BOTTOM, body: at(12, TOP, axis, ...lines, ...names) };
}
