/**
 * Limits of the wire that no operator changes. Those that they do change
 * (message length, members, buffer sizes) are in config.ts.
 */

/** Pages and catch-up. */
export const PAGE_LIMIT_DEFAULT = 50;
export const PAGE_LIMIT_MAX = 100;
/** A page is cut here, whatever its limit; there is always at least one message in it. */
export const PAGE_BYTES_MAX = 512 * 1024;
export const CATCH_UP_ROWS_MAX = 200;
export const CATCH_UP_BYTES_MAX = 256 * 1024;
/** What a `reset: true` answer brings along. */
export const RESET_PAGE_ROWS = 50;
/** A whole sync answer; beyond it `more: true`. */
export const SYNC_BYTES_MAX = 512 * 1024;
export const SYNC_POSITIONS_MAX = 1_000;
/** Unread is counted up to here and then shown as "99+". */
export const UNREAD_MAX = 100;
/** Rooms that are looked at for what is unread in all: those with the newest messages. */
export const UNREAD_ROOMS_MAX = 1_000;
/** Read markers of all members ride along with a catch-up up to this many members. */
export const READ_MARKERS_MEMBERS_MAX = 100;

/** Files of one message, and of one upload. */
export const ATTACHMENTS_MAX = 10;
export const WAVEFORM_MAX = 256;
export const DURATION_MS_MAX = 24 * 60 * 60 * 1000;
/** How long a link to a file works. */
export const FILE_LINK_MS = 5 * 60 * 1000;

/** Members that a message may name by their ids. */
export const MENTIONS_MAX = 50;
/** Who has read is told at most so often to a room, and of so many at once. */
export const RECEIPTS_WINDOW_MS = 250;
export const RECEIPTS_MAX = 100;
/** What a node spends on the receipts of one room: where many hear it, the windows are longer. */
export const RECEIPTS_BYTES_PER_S = 8 * 1024 * 1024;
/** In rooms of more members presence goes only to those who ask for it, and of one user to so many rooms. */
export const PRESENCE_MEMBERS_MAX = 100;
export const PRESENCE_ROOMS_MAX = 200;
export const PRESENCE_WATCHED_MAX = 500;
export const STATUS_TEXT_MAX = 100;
export const STATUS_EMOJI_MAX = 32;

/** Text fields, in code points. */
export const USER_ID_MAX = 128;
export const ROOM_NAME_MAX = 100;
export const ROOM_DESCRIPTION_MAX = 1_000;
export const COURSE_ID_MAX = 128;
export const COURSES_MAX = 200;
export const CLIENT_MESSAGE_ID_MAX = 128;
export const SEARCH_QUERY_MAX = 200;
/** Of one message that was found. */
export const SEARCH_HIGHLIGHTS_MAX = 50;

/** What may be lost (typing, receipts, presence) is not sent to a connection that has so much unread. */
export const EPHEMERAL_QUEUE_BYTES_MAX = 128 * 1024;
/** A queue of frames that a connection may leave unread before it is closed as a slow consumer. */
export const SEND_QUEUE_BYTES_MAX = 1024 * 1024;
/** How long a socket may stay without a token. */
export const AUTHENTICATE_WITHIN_MS = 5_000;
/** How long before a token's end its connection is warned. */
export const TOKEN_WARNING_MS = 60_000;
/** Rooms that one connection may hear at once, its direct rooms apart. */
export const ROOMS_HEARD_MAX = 500;

/** Names of the native door. */
export const SUBPROTOCOL = "scroll-chat.v1";
export const SUBPROTOCOL_BATCH = "scroll-chat.v1.batch";
export const SUBPROTOCOL_BEARER = "bearer.";
