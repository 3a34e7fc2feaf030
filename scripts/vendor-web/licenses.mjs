// The licence texts of all packages that are in the bundles, one after the other.
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";

const lock = JSON.parse(readFileSync("package-lock.json", "utf8"));
const bundled = Object.entries(lock.packages).filter(([path, about]) => path && !about.dev);
for (const [path, about] of bundled.sort()) {
  const file = readdirSync(path).find((name) => /^licen[cs]e/i.test(name));
  if (!file) throw new Error(`${path} comes without its licence text`);
  const name = path.replace("node_modules/", "");
  console.log(`${"=".repeat(80)}\n${name} ${about.version} (${about.license})\n`);
  console.log(readFileSync(join(path, file), "utf8").trim() + "\n");
}
