/** Colour where a person looks: on terminals, and not where NO_COLOR asks for none. */
import pico from "picocolors";
import type { Paint } from "../harness/render.ts";

const colours = pico.createColors(process.stdout.isTTY === true && pico.isColorSupported);

export const paint: Paint = { good: colours.green, bad: colours.red, dim: colours.dim, bold: colours.bold };
