import { IsletError } from './error.ts';

const refused = (message: string) => new IsletError(400, message);

export function transformWithoutEnvdVersion(): IsletError {
  return refused('template must be rebuilt: envd version is not set');
}

export function transformNotSupported(version: string, least: string): IsletError {
  return refused(
    'network transform rules are not supported; template must be rebuilt. ' +
      `Template envd version is ${version}, must be at least ${least}`,
  );
}

export function tooManyRuleDomains(most: number): IsletError {
  return refused(`Network rules can have at most ${most} domains.`);
}

export function emptyRuleDomain(): IsletError {
  return refused('Rule domain must not be empty.');
}

export function ruleDomainTooLong(domain: string, most: number): IsletError {
  return refused(`Rule domain "${domain}" exceeds maximum length of ${most} characters.`);
}

export function invalidRuleDomain(domain: string): IsletError {
  return refused(`Rule domain "${domain}" is not a valid domain name.`);
}

export function tooManyTransforms(domain: string, most: number): IsletError {
  return refused(`Domain "${domain}" can have at most ${most} transform rule.`);
}

export function tooManyRuleHeaders(domain: string, most: number): IsletError {
  return refused(`Domain "${domain}" can have at most ${most} headers per rule.`);
}

export function emptyRuleHeader(domain: string): IsletError {
  return refused(`Header name in rule for domain "${domain}" must not be empty.`);
}

export function invalidRuleHeader(name: string, domain: string): IsletError {
  return refused(
    `Header name "${name}" in rule for domain "${domain}" must contain only valid HTTP token characters.`,
  );
}

export function ruleHeaderTooLong(name: string, domain: string, most: number): IsletError {
  return refused(
    `Header name "${name}" in rule for domain "${domain}" exceeds maximum length of ${most} characters.`,
  );
}

export function invalidRuleValue(name: string, domain: string): IsletError {
  return refused(`Value for header "${name}" in rule for domain "${domain}" contains invalid characters.`);
}

export function ruleValueTooLong(name: string, domain: string, most: number): IsletError {
  return refused(
    `Value for header "${name}" in rule for domain "${domain}" exceeds maximum length of ${most} characters.`,
  );
}

export function malformedPlaceholder(cause: unknown): IsletError {
  return new IsletError(400, 'Network transform header contains a malformed E2B placeholder.', { cause });
}

export function tooManyRuleSecrets(domain: string, most: number): IsletError {
  return refused(`Rule domain "${domain}" references more than ${most} secrets.`);
}
