/**
 * Source text with comments, strings and regular expressions blanked out, so that a search finds code and not talk about code.
 * Lengths and line breaks stay, so that an offset in the result is an offset in the text. Quotes stay; code inside `${}` stays.
 */
const regexMayFollow = /(?:^|[([{,;:=!&|?+\-*%~^<>}]|\b(?:return|typeof|case|in|of|throw))$/;

interface Piece {
  readonly end: number;
  /** How many characters at each side stand as they are. */
  readonly keep: number;
}

export function blank(text: string): string {
  let result = "";
  /** For each open template literal, how many braces are open inside its current `${}`. */
  const braces: number[] = [];
  let at = 0;
  while (at < text.length) {
    const inside = braces.length - 1;
    if (text[at] === "}" && braces[inside] === 0) {
      braces.pop();
      at = template(at);
      continue;
    }
    if (text[at] === "`") {
      at = template(at);
      continue;
    }
    const piece = pieceAt(text, at, result);
    if (piece === undefined) {
      if (inside >= 0 && text[at] === "{") braces[inside] = (braces[inside] ?? 0) + 1;
      if (inside >= 0 && text[at] === "}") braces[inside] = (braces[inside] ?? 0) - 1;
      result += text[at];
      at++;
    } else {
      result += hide(text.slice(at, piece.end), piece.keep);
      at = piece.end;
    }
  }
  return result;

  /** From a backtick or the brace that closes a `${}` to the next `${` or the end of the literal. */
  function template(from: number): number {
    let to = from + 1;
    while (to < text.length && text[to] !== "`" && !text.startsWith("${", to)) to += text[to] === "\\" ? 2 : 1;
    const opens = text.startsWith("${", to);
    if (opens) braces.push(0);
    const end = Math.min(to + (opens ? 2 : 1), text.length);
    result += text[from] + hide(text.slice(from + 1, to), 0) + text.slice(to, end);
    return end;
  }
}

/** The comment, string or regular expression that starts here. */
function pieceAt(text: string, at: number, before: string): Piece | undefined {
  if (text.startsWith("//", at)) return { end: indexOrEnd(text, "\n", at), keep: 0 };
  if (text.startsWith("/*", at)) return { end: Math.min(indexOrEnd(text, "*/", at + 2) + 2, text.length), keep: 0 };
  const quote = text[at];
  if (quote === '"' || quote === "'") return { end: closing(text, at, quote), keep: 1 };
  if (quote === "/" && regexMayFollow.test(before.trimEnd())) return { end: closing(text, at, "/"), keep: 1 };
  return undefined;
}

function closing(text: string, from: number, quote: string): number {
  let inClass = false;
  for (let at = from + 1; at < text.length && text[at] !== "\n"; at++) {
    if (text[at] === "\\") at++;
    else if (quote === "/" && text[at] === "[") inClass = true;
    else if (quote === "/" && text[at] === "]") inClass = false;
    else if (text[at] === quote && !inClass) return at + 1;
  }
  return indexOrEnd(text, "\n", from);
}

function indexOrEnd(text: string, what: string, from: number): number {
  const found = text.indexOf(what, from);
  return found < 0 ? text.length : found;
}

function hide(piece: string, keep: number): string {
  const end = piece.length - keep;
  return piece.slice(0, keep) + piece.slice(keep, end).replace(/[^\n]/g, " ") + piece.slice(Math.max(end, keep));
}
