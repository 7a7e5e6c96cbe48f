/** @file ~/.theseus.yaml: what it may hold, and that every mistake is told with its place. */
import { expect, test } from "bun:test";
import {
  hostNamed,
  loadDispatchFile,
  parseDispatchFile,
} from "../../src/dispatch/dispatch_file.ts";
import { UserError } from "../../src/util/errors.ts";

const GOOD = `clusters:
  lab: { root: /data/lm, work: ~/.theseus, log: /logs }
hosts:
  desk: { type: plain, ssh: desk, cluster: lab, chips: { rtx4090: 2 }, env: { OMP: 1 } }
  login:
    type: slurm
    ssh: login
    cluster: lab
    partitions: [gpu, long]
    account: nlp
    qos: normal
    mem: 64 GiB
    time: 12 hours
    cpus: 8
    sbatch: { constraint: "a100|h100", exclude: n7 }
    setup: [module load cuda]
  here: { type: local, cluster: lab }
priority: [here, login]
gres_mapping: { h100: nvidia_h100_80gb_hbm3 }
`;

const parse = (text: string) => parseDispatchFile({ name: "hosts.yaml", text });

/** The message with its place, as it is printed. */
function mistake(text: string): string {
  try {
    parse(text);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    const { path, line, column } = error.place;
    return `${[path, line, column].filter((part) => part !== undefined).join(":")} ${error.message}`;
  }
  return "no mistake";
}

test("hosts come in the order of priority, with all that was said of them", () => {
  const file = parse(GOOD);
  expect(file.hosts.map(({ name }) => name)).toEqual(["here", "login", "desk"]);
  const login = hostNamed(file, "login");
  expect(login).toMatchObject({ type: "slurm", account: "nlp", time: "12 hours", cpus: 8 });
  expect([...login.sbatch]).toEqual([
    ["constraint", "a100|h100"],
    ["exclude", "n7"],
  ]);
  expect([...hostNamed(file, "desk").env]).toEqual([["OMP", "1"]]);
  expect(login.cluster.root).toBe("/data/lm");
});

test.each([
  ["hosts:\n  a: { type: plan, cluster: lab }\n", "clusters"],
  ["unknown: 1\n", "key"],
])("several mistakes at once: %s", (more) => {
  expect(
    mistake(`clusters:\n  lab: { root: rel, work: "/a b", rot: 1 }\n${more}`),
  ).toMatchSnapshot();
});

test.each([
  ["an unknown type", "type: slrum", "type: slrm"],
  ["an unknown cluster", "cluster: lab", "cluster: lap"],
  ["an option that is none", "type: slurm", "type: slurm, partition: gpu"],
  ["plain without ssh", "type: plain, ssh: x", "type: plain"],
  ["local with ssh", "type: local", "type: local, ssh: x"],
  ["a host that is an option", "ssh: x", "ssh: -oProxyCommand=evil"],
  ["memory", "mem: 1 GiB", "mem: lots"],
  ["an sbatch option", "sbatch: { exclude: a }", 'sbatch: { "a b": c }'],
])("%s", (_, __, wrong) => {
  const base = wrong.includes("type:") ? wrong : `type: slurm, ${wrong}`;
  const cluster = wrong.includes("cluster") ? "" : ", cluster: lab";
  expect(
    mistake(`clusters:\n  lab: { root: /r, work: /w }\nhosts:\n  h: { ${base}${cluster} }\n`),
  ).toMatchSnapshot();
});

test("no hosts, a priority of nobody, a name that is near", () => {
  expect(mistake("clusters:\n  lab: { root: /r, work: /w }\n")).toMatchSnapshot();
  expect(mistake(GOOD.replace("priority: [here", "priority: [hree"))).toMatchSnapshot();
  expect(() => hostNamed(parse(GOOD), "logn")).toThrow(
    'no host is named "logn". Did you mean "login"?',
  );
});

test("without a file there is this machine; a file that is named must be there", () => {
  process.env.THESEUS_DISPATCH = "";
  expect(() => loadDispatchFile("/nowhere/hosts.yaml", "out")).toThrow("there is no file");
});
