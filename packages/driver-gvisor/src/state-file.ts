/**
 * Reads the part of a gVisor checkpoint that describes its kernel's objects (`checkpoint.img`), as far as looking for some
 * objects and their fields needs it. The format is that of gVisor's pkg/state/wire without compression: after a header, chunks
 * of bytes; in them streams of types and numbered objects.
 */

import { ChunkReader, StateFileError } from './chunk-reader.ts';

/** A field that points to another object, by that one's number. */
export interface Reference {
  kind: 'reference';
  object: number;
}

/** A number, and where its bytes stand in the file, so that it can be overwritten in place. */
export interface StoredUint {
  kind: 'uint';
  value: number;
  offsets: number[];
}

/** A map's values, as far as they are references to whole objects. */
export interface ReferenceMap {
  kind: 'map';
  values: number[];
}

/** Anything else: read over. */
export interface Skipped {
  kind: 'skipped';
}

export type FieldValue = Reference | StoredUint | ReferenceMap | Skipped;

/** Takes what is found, object by object. */
export interface StateVisitor {
  /** A struct that is an object of its own, and its fields by name. */
  onStruct(object: number, type: string, fields: ReadonlyMap<string, FieldValue>): void;
  /** A map that is an object of its own. */
  onMap(object: number, map: ReferenceMap): void;
}

const MAGIC = Buffer.from('gVisorSF');
/** Of the metadata: a few names and values. */
const MAX_METADATA_BYTES = 64 * 1024;
/** Values in values; gVisor's own are in some ten. */
const MOST_LEVELS = 64;
/** SHA-256 over the metadata. */
const METADATA_DIGEST_BYTES = 32;

/** Headers of values, as in pkg/state/wire. */
const BOOL = 0;
const INT = 1;
const UINT = 2;
const FLOAT32 = 3;
const FLOAT64 = 4;
const NIL = 5;
const REF = 6;
const STRING = 7;
const SLICE = 8;
const ARRAY = 9;
const MAP = 10;
const STRUCT = 11;
const NO_OBJECTS = 12;
const MULTIPLE_OBJECTS = 13;
const INTERFACE = 14;
const COMPLEX64 = 15;
const COMPLEX128 = 16;
const TYPE = 17;

/** Headers of type specifications. */
const SPEC_ID = 0;
const SPEC_POINTER = 1;
const SPEC_ARRAY = 2;
const SPEC_SLICE = 3;
const SPEC_MAP = 4;
const SPEC_NIL = 5;

const SKIPPED: Skipped = { kind: 'skipped' };

interface StructType {
  name: string;
  fields: string[];
}

/**
 * Shows the objects of the stream that holds the sandbox's kernel to a visitor.
 * @param rootType names the type that tells this stream from others before it.
 * @throws StateFileError
 */
export function readState(image: Buffer, rootType: string, visitor: StateVisitor): void {
  const begin = MAGIC.length + 8;
  if (image.length < begin || !image.subarray(0, MAGIC.length).equals(MAGIC))
    throw new StateFileError('it is no gVisor checkpoint');
  const metadataBytes = Number(image.readBigUInt64BE(MAGIC.length));
  if (metadataBytes > MAX_METADATA_BYTES)
    throw new StateFileError(`it has ${metadataBytes} bytes of metadata`);
  const start = begin + metadataBytes + METADATA_DIGEST_BYTES;
  if (start > image.length) throw new StateFileError('it ends too early');
  const metadata = image.toString('latin1', begin, begin + metadataBytes);
  if (!metadata.includes('"compression":"none"')) throw new StateFileError('it is compressed');
  const stream = new StateStream(new ChunkReader(image, start));
  while (!stream.read(visitor, rootType));
}

class StateStream {
  readonly #bytes: ChunkReader;
  #types: StructType[] = [];
  #level = 0;

  constructor(bytes: ChunkReader) {
    this.#bytes = bytes;
  }

  /** Reads one stream of objects. @returns whether it was the one with `rootType`. */
  read(visitor: StateVisitor, rootType: string): boolean {
    this.#types = [];
    const count = this.#bytes.uint();
    for (let objects = 0; objects < count; ) {
      const header = this.#bytes.uint();
      if (header === TYPE) {
        this.#types.push({ name: this.#bytes.text(), fields: this.#bytes.texts(this.#bytes.uint()) });
      } else if (header === UINT) {
        this.#object(this.#bytes.uint(), visitor);
        objects++;
      } else
        throw new StateFileError(`${header} where a type or an object has to begin, at ${this.#bytes.at}`);
    }
    return this.#types.some((type) => type.name === rootType);
  }

  #object(id: number, visitor: StateVisitor): void {
    const header = this.#bytes.uint();
    if (header === STRUCT) {
      const type = this.#types[this.#bytes.uint() - 1];
      const fields = this.#fields(type);
      if (type) visitor.onStruct(id, type.name, fields);
    } else if (header === MAP) visitor.onMap(id, this.#map());
    else this.#value(header);
  }

  #fields(type: StructType | undefined): Map<string, FieldValue> {
    const fields = new Map<string, FieldValue>();
    const header = this.#bytes.uint();
    if (header === NO_OBJECTS) return fields;
    const count = header === MULTIPLE_OBJECTS ? this.#bytes.uint() : 1;
    for (let i = 0; i < count; i++) {
      const value = this.#value(header === MULTIPLE_OBJECTS ? this.#bytes.uint() : header);
      const name = type?.fields[i];
      if (name !== undefined) fields.set(name, value);
    }
    return fields;
  }

  #value(header: number): FieldValue {
    this.#enter();
    const value = this.#valueOf(header);
    this.#level--;
    return value;
  }

  #valueOf(header: number): FieldValue {
    switch (header) {
      case UINT:
        return this.#storedUint();
      case REF:
        return this.#reference();
      case MAP:
        return this.#map();
      case BOOL:
      case INT:
      case FLOAT32:
      case FLOAT64:
        this.#bytes.uint();
        return SKIPPED;
      case NIL:
      case NO_OBJECTS:
        return SKIPPED;
      case STRING:
        this.#bytes.skip(this.#bytes.uint());
        return SKIPPED;
      case SLICE:
        this.#bytes.uint();
        this.#bytes.uint();
        this.#reference();
        return SKIPPED;
      case ARRAY:
        this.#array();
        return SKIPPED;
      case STRUCT:
        this.#bytes.uint();
        this.#fields(undefined);
        return SKIPPED;
      case INTERFACE:
        this.#typeSpec();
        this.#value(this.#bytes.uint());
        return SKIPPED;
      case COMPLEX64:
      case COMPLEX128:
        this.#bytes.uint();
        this.#bytes.uint();
        return SKIPPED;
      default:
        throw new StateFileError(`${header} where a value has to begin, at ${this.#bytes.at}`);
    }
  }

  /** All elements have the type of the first. Bytes are numbers as well, so the plain ones go fast. */
  #array(): void {
    const count = this.#bytes.uint();
    if (count === 0) return;
    const header = this.#bytes.uint();
    if (isEmpty(header)) return;
    if (header === UINT || header === INT || header === BOOL)
      for (let i = 0; i < count; i++) this.#bytes.uint();
    else for (let i = 0; i < count; i++) this.#value(header);
  }

  #map(): ReferenceMap {
    const values: number[] = [];
    const count = this.#bytes.uint();
    let keyHeader = 0;
    let valueHeader = 0;
    for (let i = 0; i < count; i++) {
      if (i === 0) keyHeader = this.#bytes.uint();
      this.#value(keyHeader);
      if (i === 0) valueHeader = this.#bytes.uint();
      const value = this.#value(valueHeader);
      if (isEmpty(keyHeader) && isEmpty(valueHeader)) break;
      if (value.kind === 'reference') values.push(value.object);
    }
    return { kind: 'map', values };
  }

  /** Of one into another object's inside, the number of that object. */
  #reference(): Reference {
    const object = this.#bytes.uint();
    const steps = this.#bytes.uint();
    for (let i = 0; i < steps; i++) {
      const step = this.#bytes.uint();
      // Signed numbers are folded into unsigned ones: an odd one is ~(n >> 1), and minus a name's length.
      if (step % 2 === 1) this.#bytes.skip((step - 1) / 2 + 1);
    }
    if (steps > 0) this.#typeSpec();
    return { kind: 'reference', object };
  }

  #typeSpec(): void {
    this.#enter();
    this.#typeSpecOf(this.#bytes.uint());
    this.#level--;
  }

  #typeSpecOf(header: number): void {
    switch (header) {
      case SPEC_ID:
        this.#bytes.uint();
        return;
      case SPEC_POINTER:
      case SPEC_SLICE:
        this.#typeSpec();
        return;
      case SPEC_ARRAY:
        this.#bytes.uint();
        this.#typeSpec();
        return;
      case SPEC_MAP:
        this.#typeSpec();
        this.#typeSpec();
        return;
      case SPEC_NIL:
        return;
      default:
        throw new StateFileError(`${header} where a type has to be named, at ${this.#bytes.at}`);
    }
  }

  #storedUint(): StoredUint {
    const offsets: number[] = [];
    return { kind: 'uint', value: this.#bytes.uint(offsets), offsets };
  }

  #enter(): void {
    if (++this.#level > MOST_LEVELS)
      throw new StateFileError(`more than ${MOST_LEVELS} levels, at ${this.#bytes.at}`);
  }
}

/** Values without bytes of their own: any number of them fits into a file. */
function isEmpty(header: number): boolean {
  return header === NIL || header === NO_OBJECTS;
}
