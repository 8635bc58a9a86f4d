/** A user's own test of a replica set: of this repository it knows the package alone. The package gate runs it in an empty project. */
import { launch, traitors } from "quorate/node";
import { expect, it } from "vitest";

const promised = { verdict: "holds", claimed: true, expected: "holds" };
const allHold = { agreement: promised, validity: promised, integrity: promised, termination: promised, accountability: promised };

it("seven replicas, the primary a liar, bear a crash, a pause and a partition", { timeout: 120_000 }, async () => {
  await using set = await launch({ replicas: 7, traitors: { 0: traitors.equivocate() } });
  await using client = await set.client();
  await client.put("colour", "red");

  // It comes back with nothing in its store, so it is the second faulty one of two.
  await set.kill(2);
  await client.put("colour", "green");
  await set.start(2);

  await set.pause(1);
  await client.put("colour", "blue");
  await set.resume(1);

  // Five of seven are a quorum: neither side has one.
  await set.partition([
    [0, 1, 2],
    [3, 4, 5, 6],
  ]);
  await expect(client.put("lost", "perhaps", { timeoutMs: 500 })).rejects.toMatchObject({ name: "LabError", code: "timed-out" });
  await set.heal();
  await client.put("shape", "round");
  expect([await client.get("colour"), await client.get("shape")]).toEqual(["blue", "round"]);

  const { properties, traitors: liars } = await set.verdict();
  expect(properties).toMatchObject(allHold);
  expect(liars).toEqual([0]);
  expect([[0], []]).toContainEqual(properties.accountability.evidence["accused"]);
});

it("four replicas within this process bear a crash and a partition", { timeout: 60_000 }, async () => {
  await using set = await launch({ inProcess: true });
  await using client = await set.client();
  await client.put("colour", "red");
  await set.partition([
    [0, 1],
    [2, 3],
  ]);
  await set.heal();
  expect(await client.cas("colour", "red", "green")).toBe(true);
  await set.kill(0);
  expect(await client.get("colour")).toBe("green");
  expect((await set.verdict()).properties).toMatchObject(allHold);
});
