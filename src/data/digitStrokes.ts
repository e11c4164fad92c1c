// How the ten digits are written: for each, a few styles, each a few pen strokes through control points. Drawn for this project.

/** A control point in percent of the digit's box: x to the right, y down. */
export type Point = readonly [x: number, y: number];

/** Strokes of one style; a stroke that starts where the one before ended makes a corner there. */
export type DigitStyle = readonly (readonly Point[])[];

/** Strokes are separated by "/", their points by spaces. */
function style(text: string): DigitStyle {
  return text
    .split(" / ")
    .map((stroke) => stroke.split(" ").map((pair) => pair.split(",").map(Number) as [number, number]));
}

/** Styles of digit d at index d; all styles of a digit are equally frequent. */
export const DIGIT_STYLES: readonly (readonly DigitStyle[])[] = [
  [
    style("50,0 20,14 8,50 22,87 50,100 78,87 92,50 80,14 50,0 40,3"),
    style("62,3 35,6 14,35 15,75 40,100 70,88 86,55 82,20 58,2 46,10"),
  ],
  [
    style("50,0 50,35 50,70 50,100"),
    style("50,0 49,35 51,70 50,100"),
    style("30,24 43,12 54,0 / 54,0 53,50 54,100"),
    style("28,22 42,10 52,0 / 52,0 52,50 52,100 / 24,100 52,99 80,100"),
  ],
  [
    style("14,26 30,5 60,0 84,18 76,47 45,75 10,98 / 10,98 50,96 92,99"),
    style("14,22 35,3 66,2 82,22 70,50 42,80 20,97 9,88 24,79 50,90 76,99 96,91"),
    style("12,12 45,0 80,12 80,38 48,68 12,97 / 12,97 55,100 88,90"),
  ],
  [
    style("14,13 45,0 79,12 75,35 40,48 / 40,48 80,58 87,80 52,100 10,90"),
    style("12,3 50,0 86,3 / 86,3 62,24 42,42 / 42,42 78,50 88,75 55,100 10,91"),
    style("18,8 55,0 82,18 66,42 38,47 70,52 86,72 66,96 30,100 8,88"),
  ],
  [
    style("26,0 20,30 10,56 / 10,56 50,57 93,52 / 73,3 71,50 68,100"),
    style("66,0 38,31 8,63 / 8,63 50,64 96,61 / 68,0 67,50 66,100"),
    style("20,0 14,34 38,50 78,42 / 83,0 76,50 70,100"),
  ],
  [
    style("86,0 55,2 26,3 / 26,3 22,24 18,46 / 18,46 50,35 85,54 81,85 48,100 8,90"),
    style("84,4 50,1 27,14 30,38 60,48 83,70 60,97 12,95"),
    style("28,2 24,25 22,45 / 22,45 55,40 80,62 70,92 38,100 12,88 / 28,2 58,3 90,0"),
  ],
  [
    style("70,0 38,20 15,55 20,88 50,100 80,86 78,60 50,52 22,68"),
    style("45,0 25,35 15,70 35,98 70,95 80,72 55,56 20,74"),
    style("82,8 45,10 18,45 14,80 42,100 76,88 78,62 48,50 20,64"),
  ],
  [
    style("10,5 50,3 90,3 / 90,3 65,46 45,100"),
    style("10,6 50,3 90,2 / 90,2 66,46 46,100 / 34,51 58,49 86,48"),
    style("12,20 18,4 55,7 88,3 / 88,3 60,50 52,100"),
  ],
  [
    style("78,15 50,0 20,18 35,40 68,58 82,80 50,100 18,82 32,58 66,40 80,20 70,8"),
    style("50,46 24,32 30,6 55,0 78,14 72,38 50,46 / 50,46 18,62 15,88 50,100 86,88 82,62 50,46"),
  ],
  [
    style("79,20 52,0 22,14 18,40 44,52 74,38 81,14 / 81,14 77,50 70,100"),
    style("78,18 50,0 20,18 22,44 52,50 79,24 / 79,24 82,56 66,90 28,100"),
    style("70,8 40,2 18,24 30,48 62,42 76,10 / 76,10 66,50 46,100"),
  ],
];
