// A reporter of vitest: what ran, how long each file took and all that failed, as JSON in the file that ISLET_TEST_REPORT names. vitest's
// own JSON leaves out why a hook failed.
import { writeFileSync } from 'node:fs';

export default class TestReport {
  onTestRunEnd(files, unhandled) {
    const report = { passed: 0, failures: [], files: [] };
    for (const file of files) {
      const { relativeModuleId: name } = file;
      report.files.push({ name, ms: file.diagnostic().duration });
      const fail = (where, errors) => {
        report.failures.push(`${where}\n${errors.map((error) => error.stack ?? error.message).join('\n')}`);
      };
      for (const test of file.children.allTests()) {
        const { state, errors } = test.result();
        if (state === 'passed') report.passed += 1;
        if (state === 'failed') fail(`${name}: ${test.fullName}`, errors);
      }
      for (const suite of [file, ...file.children.allSuites()]) {
        const errors = suite.errors();
        if (errors.length > 0) fail(`${name}: outside of its tests: ${suite.fullName ?? ''}`, errors);
      }
    }
    for (const error of unhandled)
      report.failures.push(`outside of any file\n${error.stack ?? error.message}`);
    writeFileSync(process.env.ISLET_TEST_REPORT, JSON.stringify(report));
  }
}
