import { analyticsRow } from './analytics.ts';
import { burstRow } from './burst.ts';
import { clusterRow } from './cluster.ts';
import { commandRow } from './command.ts';
import { controlPlaneRow } from './control-plane.ts';
import { createRow } from './create.ts';
import { densityRow } from './density.ts';
import { edgeRow } from './edge.ts';
import { filesRow } from './files.ts';
import { firstOutputRow } from './first-output.ts';
import { fleetRow } from './fleet.ts';
import { forkRow } from './fork.ts';
import { httpRow } from './http.ts';
import { interpreterRow, jupyterRow } from './interpreter.ts';
import { isolationRow } from './isolation.ts';
import { liveStoreRow } from './live-store.ts';
import { loadRow } from './load.ts';
import { memoryRow } from './memory.ts';
import { neighbourRow } from './neighbour.ts';
import { otherNodeRow } from './other-node.ts';
import { pauseRow } from './pause.ts';
import type { Row } from './row.ts';
import { startRow } from './start.ts';
import { telemetryRow } from './telemetry.ts';
import { templatesRow } from './templates.ts';
import { terminalRow } from './terminal.ts';
import { traceRow } from './trace.ts';
import { webTemplateRow } from './web-template.ts';

/** Everything that is measured, in the order of the report. Starts come first: they end every sandbox. */
export const ROWS: readonly Row[] = [
  startRow,
  createRow,
  telemetryRow,
  traceRow,
  burstRow,
  pauseRow,
  forkRow,
  isolationRow,
  firstOutputRow,
  commandRow,
  terminalRow,
  filesRow,
  httpRow,
  edgeRow,
  memoryRow,
  densityRow,
  controlPlaneRow,
  liveStoreRow,
  analyticsRow,
  otherNodeRow,
  fleetRow,
  clusterRow,
  loadRow,
  neighbourRow,
  templatesRow,
  webTemplateRow,
  interpreterRow,
  jupyterRow,
];
