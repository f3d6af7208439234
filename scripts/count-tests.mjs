// Adds up vitest's JSON reports of a folder, tells each failure again, and prints `N passed, N failed`. A suite that
// could not be loaded counts as one failure: its tests are missing from the counts. Exits with 1 where anything failed or
// nothing ran.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const [dir] = process.argv.slice(2);
let passed = 0;
let failed = 0;
for (const name of readdirSync(dir)) {
  const report = JSON.parse(readFileSync(join(dir, name), 'utf8'));
  passed += report.numPassedTests;
  failed += report.numFailedTests;
  for (const suite of report.testResults) {
    for (const test of suite.assertionResults.filter((each) => each.status === 'failed')) {
      console.log(`failed: ${suite.name}: ${test.fullName}\n${test.failureMessages.join('\n')}\n`);
    }
    if (suite.status === 'failed' && !suite.assertionResults.some((test) => test.status === 'failed')) {
      failed += 1;
      console.log(`did not run: ${suite.name}: ${suite.message}`);
    }
  }
  // What fails outside of any test, such as a global setup, shows in this alone.
  if (!report.success && failed === 0) failed += 1;
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed > 0 || passed === 0 ? 1 : 0;
