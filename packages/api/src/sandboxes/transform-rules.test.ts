import { describe, expect, it } from 'vitest';
import { parseTransformRules, presentTransformRules } from './transform-rules.ts';
import { parseWorkloadTokens } from './workload-tokens.ts';

const ENVD = '0.6.13';
const headers = (headers: Record<string, string>) => [{ transform: { headers } }];
const secret = (name: string) => `\${e2b.secrets.${name}}`;
const numbered = <T>(length: number, value: (i: number) => [string, T]) =>
  Object.fromEntries(Array.from({ length }, (_, i) => value(i)));

describe('rules of domains', () => {
  it.each([
    { 'api.example.com': headers({ Authorization: `Bearer ${secret('k')}` }) },
    { 'API.example.com': [{}], 'b.example': [] },
    { _acme: headers({ 'x-a': '', 'x-b': 'é\t' }) },
    numbered(10, (i) => [`d${i}.example`, headers(numbered(20, (j) => [`x-${j}`, 'v'.repeat(2_048)]))]),
    { 'a.example': headers(numbered(20, (i) => [`x-${i}`, secret('k') + secret(' K ')])) },
    {},
  ])('are taken and shown as they were sent', (rules) => {
    expect(presentTransformRules(parseTransformRules(rules, ENVD))).toEqual(rules);
  });

  it('are none if they are null or absent, whatever the template', () => {
    expect(parseTransformRules(null, '')).toEqual([]);
    expect(parseTransformRules(undefined, '0.1.0')).toEqual([]);
  });

  it.each([
    ['', 'template must be rebuilt: envd version is not set'],
    [
      '0.5.12',
      'network transform rules are not supported; template must be rebuilt. Template envd version is 0.5.12, must be at least 0.5.13',
    ],
    ['0.4.99', 'network transform rules are not supported'],
  ])('need a newer template than %j', (version, message) => {
    expect(() => parseTransformRules({}, version)).toThrow(message);
  });

  it.each(['0.5.13', '0.5.14', '0.10.0', '1.0.0'])('work in a template of %s', (version) => {
    expect(parseTransformRules({}, version)).toEqual([]);
  });

  it.each<[string, Parameters<typeof parseTransformRules>[0], string]>([
    ['domains', numbered(11, (i) => [`d${i}.example`, []]), 'Network rules can have at most 10 domains.'],
    ['no domain', { '': [] }, 'Rule domain must not be empty.'],
    [
      'a long domain',
      { [`${'a'.repeat(63)}.${'b'.repeat(63)}.cc`]: [] },
      `Rule domain "${'a'.repeat(63)}.${'b'.repeat(63)}.cc" exceeds maximum length of 128 characters.`,
    ],
    ...[
      '1.1.1.1',
      '10.0.0.0/8',
      '*.example.com',
      'a..b',
      '-a.example',
      'a b',
      'exämple.com',
      '::1',
      'a.',
      '0x7f',
    ].map((domain): [string, Parameters<typeof parseTransformRules>[0], string] => [
      `the domain ${domain}`,
      { [domain]: [] },
      `Rule domain "${domain}" is not a valid domain name.`,
    ]),
    ['two rules', { 'a.b': [{}, {}] }, 'Domain "a.b" can have at most 1 transform rule.'],
    [
      'headers',
      { 'a.b': headers(numbered(21, (i) => [`x-${i}`, ''])) },
      'Domain "a.b" can have at most 20 headers per rule.',
    ],
    ['no name', { 'a.b': headers({ '': 'v' }) }, 'Header name in rule for domain "a.b" must not be empty.'],
    [
      'a bad name',
      { 'a.b': headers({ 'x y': 'v' }) },
      'Header name "x y" in rule for domain "a.b" must contain only valid HTTP token characters.',
    ],
    [
      'a long name',
      { 'a.b': headers({ ['x'.repeat(65)]: 'v' }) },
      `Header name "${'x'.repeat(65)}" in rule for domain "a.b" exceeds maximum length of 64 characters.`,
    ],
    ...['a\r\nX-B: c', 'a\u0000', 'a\u007f', '\ud800'].map(
      (value): [string, Parameters<typeof parseTransformRules>[0], string] => [
        `the value ${JSON.stringify(value)}`,
        { 'a.b': headers({ x: value }) },
        'Value for header "x" in rule for domain "a.b" contains invalid characters.',
      ],
    ),
    [
      'a long value',
      { 'a.b': headers({ x: 'é'.repeat(1_025) }) },
      'Value for header "x" in rule for domain "a.b" exceeds maximum length of 2048 characters.',
    ],
    [
      'a malformed placeholder',
      { 'a.b': headers({ x: secret('a b') }) },
      'Network transform header contains a malformed E2B placeholder.',
    ],
    [
      'secrets',
      { 'a.b': headers({ x: numberedSecrets(0, 20), y: numberedSecrets(13, 33) }) },
      'Rule domain "a.b" references more than 32 secrets.',
    ],
  ])('refuse %s', (_, rules, message) => {
    expect(() => parseTransformRules(rules, ENVD)).toThrow(message);
  });

  it('count spellings of one secret once, and no tokens', () => {
    const value = `${numberedSecrets(0, 32)}${secret(' K0 ')}\${e2b.identity.tokens.aws}`;
    expect(parseTransformRules({ 'a.b': headers({ x: value }) }, ENVD)).toHaveLength(1);
  });
});

function numberedSecrets(from: number, to: number): string {
  return Array.from({ length: to - from }, (_, i) => secret(`k${from + i}`)).join('');
}

describe('identity tokens of a create', () => {
  const jwt = (audience: string) => ({ audience, tokenType: 'JWT-SVID' });

  it('are kept as they were sent', () => {
    expect(parseWorkloadTokens({ aws: jwt(' sts '), constructor: jwt('x') })).toEqual([
      { name: 'aws', audience: ' sts ' },
      { name: 'constructor', audience: 'x' },
    ]);
    expect(parseWorkloadTokens()).toEqual([]);
    expect(parseWorkloadTokens({})).toEqual([]);
  });

  it.each<[Parameters<typeof parseWorkloadTokens>[0], string]>([
    [numbered(6, (i) => [`t${i}`, jwt('a')]), 'iam.tokens: too many tokens: 6 (max 5)'],
    [{ '': jwt('a') }, 'iam.tokens: token name must not be empty'],
    [{ a: jwt('') }, 'iam.tokens.a.audience: audience is required'],
    [{ a: { tokenType: 'JWT-SVID' } }, 'iam.tokens.a.audience: audience is required'],
    [{ a: { audience: 'a', tokenType: 'JWT' } }, 'iam.tokens.a.tokenType: only "JWT-SVID" is supported'],
    [{ a: { audience: 'a' } }, 'iam.tokens.a.tokenType: only "JWT-SVID" is supported'],
  ])('refuse %j', (tokens, message) => {
    expect(() => parseWorkloadTokens(tokens)).toThrow(message);
  });
});
