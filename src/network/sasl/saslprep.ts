/** SASLprep (RFC 4013): one form for user names and passwords that look the same. Tables are those of RFC 3454. */

/** B.1: means nothing. */
const NOTHING = /[\u034f\u180b-\u180d\ufe00-\ufe0f\u00ad\u1806\u200b-\u200d\u2060\ufeff]/gu
/** C.1.2: spaces. */
const SPACES = /[\u00a0\u1680\u2000-\u200b\u202f\u205f\u3000]/gu
/** C.2 to C.9: controls, private use, non-characters, surrogates, and what changes the display or is a tag. */
const PROHIBITED =
  /[\u0340\u0341\p{Cc}\p{Co}\p{Cs}\p{Noncharacter_Code_Point}\u06dd\u070f\u180e\u200c-\u200f\u2028-\u202e\u2060-\u2063\u206a-\u206f\ufeff\ufff9-\uffff\u{1d173}-\u{1d17a}\u2ff0-\u2ffb\u{e0001}\u{e0020}-\u{e007f}]/u
/** D.1: written from right to left. */
const RIGHT_TO_LEFT =
  /[\u05be\u05c0\u05c3\u05d0-\u05ea\u05f0-\u05f4\u061b\u061f\u0621-\u063a\u0640-\u064a\u066d-\u066f\u0671-\u06d5\u06dd\u06e5\u06e6\u06fa-\u06fe\u0700-\u070d\u0710\u0712-\u072c\u0780-\u07a5\u07b1\u200f\ufb1d\ufb1f-\ufb28\ufb2a-\ufb36\ufb38-\ufb3c\ufb3e\ufb40\ufb41\ufb43\ufb44\ufb46-\ufbb1\ufbd3-\ufd3d\ufd50-\ufd8f\ufd92-\ufdc7\ufdf0-\ufdfc\ufe70-\ufe74\ufe76-\ufefc]/u

const PLAIN_ASCII = /^[\x20-\x7e]*$/

/** The prepared text, or undefined where it has characters that are not allowed. */
export function saslprep(text: string): string | undefined {
  if (PLAIN_ASCII.test(text)) return text
  const prepared = text.replaceAll(SPACES, ' ').replaceAll(NOTHING, '').normalize('NFKC')
  if (PROHIBITED.test(prepared)) return undefined
  const characters = Array.from(prepared)
  if (!characters.some((one) => RIGHT_TO_LEFT.test(one))) return prepared
  // What goes from right to left begins and ends so, and has no letters of the other direction.
  const isOneWay =
    RIGHT_TO_LEFT.test(characters[0]!) &&
    RIGHT_TO_LEFT.test(characters.at(-1)!) &&
    characters.every((one) => RIGHT_TO_LEFT.test(one) || !/\p{L}/u.test(one))
  return isOneWay ? prepared : undefined
}
