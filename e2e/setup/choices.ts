/** The choices that an option names, separated by commas. @throws Error that names the option and all choices */
export function parseChoices<const Choice extends string>(
  option: string,
  choices: readonly Choice[],
  text: string,
): Choice[] {
  return text.split(',').map((name) => {
    const choice = choices.find((each) => each === name.trim());
    if (choice === undefined) throw new Error(`--${option} takes ${choices.join(', ')}, not "${name}"`);
    return choice;
  });
}

/** Minutes in ms. @throws Error if the text is no number above 0 */
export function parseMinutes(text: string): number {
  const minutes = Number(text);
  if (!(minutes > 0)) throw new Error(`--minutes takes a number above 0, not "${text}"`);
  return minutes * 60_000;
}
