import { describe, expect, it } from "vitest";
import { LabError } from "../../src/core/lab-error.ts";
import { optionNames } from "../../src/traitors/behaviour.ts";
import { behaviourNamed, behaviours, checkBehaviour, createTraitor, traitors } from "../../src/traitors/catalogue.ts";
import { parseTraitor } from "../../src/traitors/parse-traitor.ts";
import { traitor } from "../../src/traitors/traitor.ts";

const messageOf = (act: () => unknown): string => {
  try {
    act();
  } catch (error) {
    if (!(error instanceof LabError)) throw error;
    expect(error.exitCode).toBe(2);
    return error.message;
  }
  throw new Error("expected an error");
};

describe("the catalogue", () => {
  it("has one sentence for every behaviour, and a maker of the same name", () => {
    for (const { name, description } of behaviours) {
      expect(description).toMatch(/^[A-Z].*\.$/);
      expect(Object.keys(traitors)).toContain(name);
    }
    expect(Object.keys(traitors)).toHaveLength(behaviours.length);
  });

  it("names every option of a behaviour", () => {
    expect(optionNames(behaviourNamed("withhold"))).toEqual(["kinds", "to", "when"]);
  });

  it("makes plain data that survives JSON and means the same", () => {
    const all = [
      traitors.silent(),
      traitors.silent({ when: { probability: 0.5, views: [0], slots: [1, 9], to: [1, "client-2"], after: { slot: 3 } } }),
      traitors.withhold({ kinds: ["commit", "reply"], to: ["client-1"] }),
      traitors.delay({ ms: "1.5s" }),
      traitors.equivocate({ groups: [[1], [2, 3]], differ: "fewer" }),
      traitors.corruptSignature(),
      traitors.lieInReplies(),
    ];
    for (const data of all) {
      expect(checkBehaviour(JSON.parse(JSON.stringify(data)))).toEqual(data);
      expect(createTraitor(data)).toMatchObject({ name: data.behaviour, ...(data.when && { when: data.when }) });
    }
    expect(traitors.delay({ ms: "1.5s" })).toEqual({ behaviour: "delay", options: { ms: 1500 } });
    expect(traitors.withhold({ kinds: "commit" })).toEqual({ behaviour: "withhold", options: { kinds: ["commit"] } });
  });

  it("lets a traitor of one's own through as it is", () => {
    const own = traitor("own", () => ({}));
    expect(createTraitor(own)).toBe(own);
  });

  it.each<[string, () => unknown, RegExp]>([
    [
      "an unknown behaviour",
      () => checkBehaviour({ behaviour: "equivocat" }),
      /"equivocat".*allowed are silent, withhold, delay, equivocate/,
    ],
    ["something else", () => checkBehaviour("equivocate"), /\{ behaviour, options\?, when\? \}/],
    [
      "an unknown option",
      () => checkBehaviour({ behaviour: "withhold", options: { kind: "commit" } }),
      /withhold.*"kind".*options: kinds, to, when/,
    ],
    ["an unknown kind", () => traitors.withhold({ kinds: "comit" }), /withhold: kinds\.0: .*"commit"/],
    [
      "a node that is none",
      () => checkBehaviour({ behaviour: "withhold", options: { to: "replica-1" } }),
      /to\.0: .*replica number.*client-1/,
    ],
    ["a duration that is none", () => traitors.delay({ ms: "5 minutes" }), /delay: ms: .*5ms/],
    ["a duration below zero", () => traitors.delay({ ms: -1 }), /delay: ms: /],
    ["a duration that no timer holds", () => traitors.delay({ ms: 2 ** 31 }), /delay: ms: /],
    ["a missing option", () => checkBehaviour({ behaviour: "delay" }), /delay: ms: /],
    ["a probability over 1", () => traitors.silent({ when: { probability: 2 } }), /silent: when\.probability: /],
    ["one group only", () => traitors.equivocate({ groups: [[1]] }), /equivocate: groups: /],
  ])("refuses %s in one line that says what is allowed", (_, act, expected) => {
    const message = messageOf(act);
    expect(message).toMatch(expected);
    expect(message).not.toContain("\n");
  });
});

describe("the command line's spelling", () => {
  it.each([
    ["0:equivocate", 0, traitors.equivocate()],
    ["3:silent()", 3, traitors.silent()],
    ["0:withhold(kinds=commit,to=1+2)", 0, traitors.withhold({ kinds: "commit", to: [1, 2] })],
    ["0:withhold(kinds=commit+view-change, to=client-1)", 0, traitors.withhold({ kinds: ["commit", "view-change"], to: "client-1" })],
    ["2:delay(ms=50ms)", 2, traitors.delay({ ms: 50 })],
    ["2:delay(ms=50)", 2, traitors.delay({ ms: 50 })],
    ["1:equivocate(groups=0/2+3,differ=fewer)", 1, traitors.equivocate({ groups: [[0], [2, 3]], differ: "fewer" })],
    ["1:silent(when.views=0+1,when.probability=0.5)", 1, traitors.silent({ when: { views: [0, 1], probability: 0.5 } })],
    [
      "1:silent(when.slots=3+9,when.after.slot=2,when.after.view=1)",
      1,
      traitors.silent({ when: { slots: [3, 9], after: { slot: 2, view: 1 } } }),
    ],
    ["1:lieInReplies(value=5)", 1, traitors.lieInReplies({ value: "5" })],
    ["12:lieInReplies(value=a=b)", 12, traitors.lieInReplies({ value: "a=b" })],
  ])("%s", (text, node, behaviour) => {
    expect(parseTraitor(text)).toEqual({ node, behaviour });
  });

  it.each([
    ["equivocate", /expected NODE:BEHAVIOUR/],
    ["0:", /expected NODE:BEHAVIOUR/],
    ["-1:silent", /expected NODE:BEHAVIOUR/],
    ["0:silent(", /expected NODE:BEHAVIOUR/],
    ["0:mute", /"mute".*allowed are silent/],
    ["0:withhold(commit)", /expected OPTION=VALUE, got "commit"/],
    ["0:withhold(.a=1)", /expected OPTION=VALUE/],
    ["0:silent(__proto__.x=1)", /expected OPTION=VALUE/],
    ["0:withhold(kinds=)", /withhold: kinds\.0/],
    ["0:silent(when.veiws=1)", /silent: when: there is no option "veiws"/],
    ["0:delay", /delay: ms: .*5ms/],
  ])("refuses %s in one line", (text, expected) => {
    const message = messageOf(() => parseTraitor(text));
    expect(message).toMatch(expected);
    expect(message).not.toContain("\n");
  });
});
