/** The version that traces and results carry. A test compares it with package.json; pure code cannot read a file. */
export const version = "0.1.0";
