import { create } from '@bufbuild/protobuf';
import {
  emptyRuleDomain,
  emptyRuleHeader,
  invalidRuleDomain,
  invalidRuleHeader,
  invalidRuleValue,
  malformedPlaceholder,
  orchestratorProto,
  parseHeaderValue,
  ruleDomainTooLong,
  ruleHeaderTooLong,
  ruleValueTooLong,
  tooManyRuleDomains,
  tooManyRuleHeaders,
  tooManyRuleSecrets,
  tooManyTransforms,
  transformNotSupported,
  transformWithoutEnvdVersion,
} from '@islet/contracts';
import type { Static } from 'typebox';
import type { NetworkUpdate } from './shapes.ts';

type Rules = NonNullable<Static<typeof NetworkUpdate>['rules']>;
type Rule = Rules[string][number];

const MOST_DOMAINS = 10;
const MOST_TRANSFORMS = 1;
const MOST_HEADERS = 20;
const MOST_SECRETS = 32;
/** In bytes, as all lengths here. */
const DOMAIN_LENGTH = 128;
const HEADER_LENGTH = 64;
const VALUE_LENGTH = 2_048;
/** Of envd: the first one that takes in an authority. */
const LEAST_ENVD = '0.5.13';

const LABEL = '[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?';
const DOMAIN = new RegExp(`^(?:${LABEL}\\.)*${LABEL}$`, 'i');
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: those are what a header's value may not hold
const BAD_VALUE = /[\u0000-\u0008\u000a-\u001f\u007f]|\p{Surrogate}/u;

/**
 * Checks rules of a create or an update, with the protocol's messages. Nobody is asked whether secrets and tokens exist that they name.
 * @param rules null or absent: none, whatever the template is
 * @throws IsletError 400
 */
export function parseTransformRules(
  rules: Rules | null | undefined,
  envdVersion: string,
): orchestratorProto.DomainRules[] {
  if (rules === null || rules === undefined) return [];
  assertSupported(envdVersion);
  const entries = Object.entries(rules);
  if (entries.length > MOST_DOMAINS) throw tooManyRuleDomains(MOST_DOMAINS);
  return entries.map(([domain, list]) => {
    checkDomain(domain);
    checkRules(domain, list);
    return create(orchestratorProto.DomainRulesSchema, {
      domain,
      rules: list.map(({ transform }) =>
        transform ? { transform: { headers: transform.headers ?? {} } } : {},
      ),
    });
  });
}

/** Rules as they were sent. */
export function presentTransformRules(rules: readonly orchestratorProto.DomainRules[]): Rules {
  return Object.fromEntries(
    rules.map(({ domain, rules: list }) => [
      domain,
      list.map(({ transform }) => (transform ? { transform: { headers: transform.headers } } : {})),
    ]),
  );
}

function assertSupported(version: string): void {
  if (version === '') throw transformWithoutEnvdVersion();
  const numbers = (text: string) => text.split('.').map(Number);
  const [least, own] = [numbers(LEAST_ENVD), numbers(version)];
  const at = least.findIndex((number, index) => number !== own[index]);
  const isOlder = at >= 0 && !((own[at] ?? 0) > (least[at] ?? 0));
  if (isOlder) throw transformNotSupported(version, LEAST_ENVD);
}

function checkDomain(domain: string): void {
  if (domain === '') throw emptyRuleDomain();
  if (Buffer.byteLength(domain) > DOMAIN_LENGTH) throw ruleDomainTooLong(domain, DOMAIN_LENGTH);
  // Whatever ends in a number is read as an address by some.
  if (!DOMAIN.test(domain) || /(?:^|\.)(?:\d+|0x[0-9a-f]*)$/i.test(domain)) throw invalidRuleDomain(domain);
}

function checkRules(domain: string, list: readonly Rule[]): void {
  if (list.length > MOST_TRANSFORMS) throw tooManyTransforms(domain, MOST_TRANSFORMS);
  const secrets = new Set<string>();
  for (const { transform } of list) {
    const headers = Object.entries(transform?.headers ?? {});
    if (headers.length > MOST_HEADERS) throw tooManyRuleHeaders(domain, MOST_HEADERS);
    for (const [name, value] of headers) {
      checkHeader(domain, name, value);
      for (const secret of secretsIn(value)) secrets.add(secret);
    }
  }
  if (secrets.size > MOST_SECRETS) throw tooManyRuleSecrets(domain, MOST_SECRETS);
}

function checkHeader(domain: string, name: string, value: string): void {
  if (name === '') throw emptyRuleHeader(domain);
  if (!TOKEN.test(name)) throw invalidRuleHeader(name, domain);
  if (name.length > HEADER_LENGTH) throw ruleHeaderTooLong(name, domain, HEADER_LENGTH);
  if (BAD_VALUE.test(value)) throw invalidRuleValue(name, domain);
  if (Buffer.byteLength(value) > VALUE_LENGTH) throw ruleValueTooLong(name, domain, VALUE_LENGTH);
}

/** By their canonical names. */
function secretsIn(value: string): string[] {
  try {
    return parseHeaderValue(value).flatMap((part) => (part.kind === 'secret' ? [part.name] : []));
  } catch (error) {
    throw malformedPlaceholder(error);
  }
}
