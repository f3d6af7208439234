import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Sandbox } from '@e2b/desktop';

const PERSON = { name: 'Ada Lovelace', town: 'London', ticket: 'weekend' };

const [out = 'out'] = process.argv.slice(2);
await mkdir(out, { recursive: true });

const desktop = await Sandbox.create();
try {
  for (const file of ['form.html', 'server.py']) {
    await desktop.files.write(`/home/user/${file}`, await readFile(new URL(file, import.meta.url), 'utf8'));
  }
  await desktop.commands.run('python3 /home/user/server.py', { background: true, timeoutMs: 0 });
  await desktop.launch('google-chrome', 'http://127.0.0.1:8000/');
  await untilTitle('Registration');
  await picture('empty');

  // As a person would: click into the page, go on with Tab, type, choose with the arrows, and press the button.
  await desktop.leftClick(900, 650);
  await desktop.press('tab');
  await desktop.write(PERSON.name);
  await desktop.press('tab');
  await desktop.write(PERSON.town);
  await desktop.press('tab');
  await desktop.press('down');
  await desktop.press('tab');
  await desktop.press('space');
  await picture('filled');
  await desktop.press('tab');
  await desktop.press('enter');
  await untilTitle('Registered');
  await picture('sent');

  console.log('The server got', JSON.parse(await desktop.files.read('/home/user/registration.json')));
  console.log(`Pictures of the screen are in ${out}`);
} finally {
  await desktop.kill();
}

async function untilTitle(title: string): Promise<void> {
  const shown = await desktop.waitAndVerify(
    'xdotool getwindowname $(xdotool getwindowfocus)',
    ({ stdout }) => stdout.startsWith(title),
    60,
  );
  if (!shown) throw new Error(`no window is called ${title}`);
  // The title comes before the page is drawn.
  await desktop.wait(1_000);
}

async function picture(name: string): Promise<void> {
  await writeFile(join(out, `${name}.png`), await desktop.screenshot());
}
