/**
 * Whether the page's modules are of the types that their comments say.
 */
import { spawnSync } from "node:child_process";
import { join } from "node:path";

const compiler = join(process.env.TAPLINE_BROWSER, "node_modules/typescript/bin/tsc");
const project = join(import.meta.dirname, "../../web/jsconfig.json");
const { status } = spawnSync(process.execPath, [compiler, "--project", project], { stdio: "inherit" });
process.exitCode = status ?? 1;
