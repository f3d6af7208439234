// scripts/count-tests.mjs FOLDER STATUS: adds up the reports that scripts/test-report.mjs wrote there, tells the longest files and each
// failure again, and prints `N passed, N failed`. A hook that failed counts as one, and so do steps that failed without a report, for
// which STATUS is not 0. Exits with 1 where anything failed or nothing ran.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const [dir, status] = process.argv.slice(2);
const reports = readdirSync(dir).map((name) => JSON.parse(readFileSync(join(dir, name), 'utf8')));
const passed = reports.reduce((sum, report) => sum + report.passed, 0);
const failures = reports.flatMap((report) => report.failures);
if (status !== '0' && failures.length === 0) failures.push('a step, see above');
const longest = reports.flatMap((report) => report.files).sort((a, b) => b.ms - a.ms);

console.log('the longest files:');
for (const { name, ms } of longest.slice(0, 10))
  console.log(`${(ms / 1000).toFixed(0).padStart(5)} s  ${name}`);
for (const failure of failures) console.log(`\nfailed: ${failure}`);
console.log(`\n${passed} passed, ${failures.length} failed`);
process.exitCode = failures.length > 0 || passed === 0 ? 1 : 0;
