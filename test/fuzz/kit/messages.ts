import {
  create,
  type DescEnum,
  type DescField,
  type DescMessage,
  type Message,
  ScalarType,
  toBinary,
} from "@bufbuild/protobuf";
import { reflect } from "@bufbuild/protobuf/reflect";
import type { Prng } from "../../simulation/world/prng.ts";
import { mutate, randomBytes } from "./bytes.ts";
import { text } from "./texts.ts";

/** What a field of this name may hold so that the message means something to who gets it. */
export type Plausible = Readonly<Record<string, readonly (string | bigint | number)[]>>;

/** A message that its schema allows: at random half of them, or nearly all, of its fields are plausible. */
export function randomMessage(prng: Prng, schema: DescMessage, plausible: Plausible = {}): Message {
  return new MessageMaker(prng, plausible, prng.pick([0.5, 0.98])).make(schema);
}

/** The bytes of such a message, changed more often than not, or no message's at all. */
export function hostileBytes(
  prng: Prng,
  schema: DescMessage,
  plausible: Plausible = {},
): Uint8Array<ArrayBuffer> {
  if (prng.chance(0.1)) return randomBytes(prng, 200);
  const encoded = toBinary(schema, randomMessage(prng, schema, plausible));
  if (prng.chance(0.4)) return encoded;
  return mutate(prng, encoded, toBinary(schema, randomMessage(prng, schema, plausible)));
}

class MessageMaker {
  constructor(
    private readonly prng: Prng,
    private readonly plausible: Plausible,
    /** The share of what is as somebody would really send it. */
    private readonly tame: number,
  ) {}

  make(schema: DescMessage): Message {
    const { prng } = this;
    const message = create(schema);
    const reflected = reflect(schema, message);
    for (const field of schema.fields) {
      if (field.oneof === undefined ? !prng.chance(this.tame) : prng.chance(0.5)) continue;
      if (field.fieldKind === "list") {
        const list = reflected.get(field);
        for (let left = prng.pick([0, 1, 1, 2, 5, 40]); left > 0; left--) {
          const error = list.add(this.#value(field));
          if (error !== undefined) throw error;
        }
      } else if (field.fieldKind === "map") {
        const map = reflected.get(field);
        for (let left = prng.pick([0, 1, 1, 2, 5, 40]); left > 0; left--) {
          map.set(scalar(prng, field.mapKey, undefined), this.#value(field));
        }
      } else {
        reflected.set(field, this.#value(field));
      }
    }
    return message;
  }

  #value(field: DescField): unknown {
    const { prng, plausible, tame } = this;
    if (field.message !== undefined) return reflect(field.message, this.make(field.message));
    if (field.enum !== undefined) return this.#enumNumber(field.enum);
    const given = plausible[field.name];
    const real = given !== undefined && prng.chance(tame) ? prng.pick(given) : undefined;
    return scalar(prng, field.scalar as ScalarType, real);
  }

  /** Also none, and numbers that this version does not know. */
  #enumNumber({ values }: DescEnum): number {
    const { prng, tame } = this;
    if (prng.chance(tame)) return prng.pick(values.slice(1)).number;
    return prng.pick([0, -1, 77, 2 ** 31 - 1]);
  }
}

const WHOLE = [0n, 1n, 2n, 100n, 2n ** 31n - 1n, 2n ** 31n, 2n ** 32n - 1n];
const LARGE = [2n ** 48n, 2n ** 53n - 1n, 2n ** 53n, 2n ** 63n - 1n, 2n ** 63n, 2n ** 64n - 1n];

function scalar(prng: Prng, type: ScalarType, real: string | bigint | number | undefined): unknown {
  switch (type) {
    case ScalarType.STRING:
      return typeof real === "string" ? real : text(prng).toWellFormed();
    case ScalarType.BYTES:
      return randomBytes(prng, 40);
    case ScalarType.BOOL:
      return prng.chance(0.5);
    case ScalarType.DOUBLE:
      return prng.pick([0, 1.5, -1, 2 ** 53, 1e308, Number.NaN, Number.POSITIVE_INFINITY]);
    case ScalarType.UINT32:
      return Number(BigInt.asUintN(32, BigInt(real ?? prng.pick(WHOLE))));
    case ScalarType.INT32:
      return Number(BigInt.asIntN(32, BigInt(real ?? prng.pick(WHOLE))));
    case ScalarType.UINT64:
      return BigInt.asUintN(64, BigInt(real ?? prng.pick([...WHOLE, ...LARGE])));
    case ScalarType.INT64:
      return BigInt.asIntN(64, BigInt(real ?? prng.pick([...WHOLE, ...LARGE])));
    default:
      throw new Error(`no value for a field of ${ScalarType[type]}: add one`);
  }
}
