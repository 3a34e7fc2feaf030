// What the bundles export, for the checker of types: what is said in `entries`, or else that it is there.
import { copyFileSync, existsSync, readFileSync, writeFileSync } from "node:fs";

const { outputs } = JSON.parse(readFileSync("meta.json", "utf8"));
const line = (name) => (name === "default" ? "declare const it: any;\nexport default it;\n" : `export const ${name}: any;\n`);
for (const [path, { exports }] of Object.entries(outputs)) {
  const types = path.replace(/\.js$/, ".d.ts");
  const said = types.replace("out/", "entries/");
  if (existsSync(said)) copyFileSync(said, types);
  else writeFileSync(types, [...exports].sort().map(line).join(""));
}
