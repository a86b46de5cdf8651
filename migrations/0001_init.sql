-- The whole schema: tables, what a reader needs as an index, and how a row looks on the wire.
-- Writes live in 0002 and 0003 as versioned functions. Postgres 15 and later. Ids are made by the
-- server, never by the database. No foreign key hangs on messages: every row there is
-- written by a function that holds the room's lock and has just read its members.

create table server_state (
  singleton boolean primary key default true check (singleton),
  epoch     text not null
);
insert into server_state (epoch) values (gen_random_uuid()::text);

-- A projection of the identity provider. claims_at is the issue time of the newest token seen:
-- an older token never overwrites what a newer one said.
create table users (
  id           text primary key,
  name         text not null,
  avatar_url   text,
  role         text not null default 'student',
  courses      text[] not null default '{}',
  claims_at    timestamptz not null default '-infinity',
  inbox_seq    bigint not null default 0,
  created_at   timestamptz not null default now(),
  -- when others last saw the user online: stays where it is while status is invisible
  last_seen_at timestamptz not null default now(),
  -- what the user chose; online: as their devices are. The line beside it ends by itself.
  status       text not null default 'online' check (status in ('online', 'away', 'busy', 'invisible')),
  status_text  text,
  status_emoji text,
  status_until timestamptz,
  -- one more with each choice: nodes hear of choices in any order
  status_version bigint not null default 0
);

create table user_blocks (
  blocker_id text not null references users,
  blocked_id text not null references users,
  created_at timestamptz not null default now(),
  primary key (blocker_id, blocked_id)
);
create index user_blocks_blocked on user_blocks (blocked_id, blocker_id);

create table nodes (
  id           text primary key,
  region       text not null,
  bus          text not null,
  machine      text not null,
  started_at   timestamptz not null default now(),
  heartbeat_at timestamptz not null default now()
);

-- last_seq: the room's one sequence, bumped by every durable change. meta_change_seq: the value it had
-- when a field of the room itself last changed. member_count is exact: written under the row's lock.
create table rooms (
  id              uuid primary key,
  name            text not null,
  type            text not null check (type in ('PUBLIC', 'PRIVATE', 'COURSE', 'STUDY_GROUP', 'DIRECT')),
  description     text,
  course_id       text,
  created_by      text not null,
  is_private      boolean not null default false,
  max_members     integer,
  member_count    integer not null default 0,
  last_seq        bigint not null default 0,
  meta_change_seq bigint not null default 0,
  oldest_seq      bigint not null default 1,
  last_message_at timestamptz not null default '-infinity',
  legal_hold      boolean not null default false,
  direct_key      text unique,
  direct_low      text,
  direct_high     text,
  created_at      timestamptz not null default now(),
  updated_at      timestamptz not null default now(),
  deleted_at      timestamptz,
  check ((type = 'DIRECT') = (direct_key is not null)),
  check ((type = 'COURSE') = (course_id is not null))
) with (fillfactor = 80);
-- discover_rooms: what is listed, by name
create index rooms_listed on rooms (lower(name), id) where deleted_at is null and not is_private and type in ('PUBLIC', 'STUDY_GROUP', 'COURSE');

-- left_seq is null while the membership lasts. inbox_change_seq: the user's inbox_seq when this row, or
-- (in a direct room) one of the room's messages, last changed; joined_inbox_seq: the one it had when it began.
create table memberships (
  room_id          uuid not null references rooms,
  user_id          text not null references users,
  role             text not null default 'MEMBER' check (role in ('OWNER', 'ADMIN', 'MODERATOR', 'MEMBER')),
  joined_at        timestamptz not null default now(),
  joined_seq       bigint not null,
  left_seq         bigint,
  left_reason      text check (left_reason in ('left', 'removed', 'banned', 'suspended')),
  last_read_seq    bigint not null default 0,
  last_read_at     timestamptz,
  -- marked as unread from here on, though read further: receipts never go back
  unread_from_seq  bigint,
  is_muted         boolean not null default false,
  is_blocked       boolean not null default false,
  change_seq       bigint not null,
  inbox_change_seq bigint not null default 0,
  joined_inbox_seq bigint not null default 0,
  primary key (room_id, user_id),
  check ((left_seq is null) = (left_reason is null)),
  check (not is_blocked or left_seq is not null)
) with (fillfactor = 80);
-- what changed in a room; who asks for one member must not be given this index, and those of direct rooms never change
create index memberships_change on memberships (room_id, change_seq) where change_seq > 0;
create index memberships_inbox on memberships (user_id, inbox_change_seq);

-- content is empty where sealed holds it encrypted. recipient_id, read_at and the two inbox numbers
-- (those of the room's direct_low and direct_high) are for direct rooms only.
create table messages (
  id                uuid primary key,
  room_id           uuid not null,
  seq               bigint not null,
  change_seq        bigint not null,
  sender_id         text not null,
  recipient_id      text,
  client_message_id text not null,
  content           text not null,
  sealed            bytea,
  key_id            text,
  type              text not null default 'TEXT',
  attachments       jsonb not null default '[]',
  reply_to_id       uuid,
  is_edited         boolean not null default false,
  edited_at         timestamptz,
  is_deleted        boolean not null default false,
  deleted_at        timestamptz,
  deleted_by        text,
  is_encrypted      boolean not null default false,
  read_at           timestamptz,
  reactions         jsonb not null default '[]',
  -- ids of members who are named in it
  mentions          text[] not null default '{}',
  inbox_low         bigint,
  inbox_high        bigint,
  -- where each of the two first heard of it: below, an edit is no news
  first_inbox_low   bigint,
  first_inbox_high  bigint,
  created_at        timestamptz not null,
  unique (room_id, seq),
  unique (sender_id, client_message_id, room_id)
);
create unique index messages_change on messages (room_id, change_seq);
-- unread counts: live messages after a marker, and by whom, without a visit to the table
create index messages_live on messages (room_id, seq) include (sender_id) where not is_deleted;
create index messages_mentions on messages (room_id, seq) where mentions <> '{}' and not is_deleted;

create function iso_v1(at timestamptz) returns text language sql immutable parallel safe
return to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"');

create function role_rank_v1(role text) returns integer language sql immutable parallel safe
return case role when 'OWNER' then 4 when 'ADMIN' then 3 when 'MODERATOR' then 2 when 'MEMBER' then 1 else 0 end;

-- A user's name and picture, as they ride along with whatever names the user. Not SQL: a subquery would keep the planner
-- from writing out the expressions that call it.
create function profile_json_v1(who text) returns text language plpgsql stable parallel safe as $$
begin
  return (select json_build_object('id', u.id, 'name', u.name, 'avatarUrl', u.avatar_url) from users u where u.id = who);
end $$;

-- The wire's Message, of a direct room its DirectMessage, but for who sent it. One expression, put together by hand: the
-- planner writes it into the query, and it costs a third of what row_to_json in a function of its own does.
create function message_fields_v1(m messages) returns text language sql stable parallel safe as $$
  select '{"id":"' || (m).id || '","roomId":"' || (m).room_id || '","seq":' || (m).seq || ',"changeSeq":' || (m).change_seq
    || ',"senderId":' || to_json((m).sender_id)
    || ',"clientMessageId":' || to_json((m).client_message_id)
    || ',"content":' || to_json((m).content) || ',"type":' || to_json((m).type) || ',"attachments":' || (m).attachments
    || ',"replyToId":' || coalesce('"' || (m).reply_to_id || '"', 'null')
    || ',"isEdited":' || (m).is_edited || ',"editedAt":' || coalesce('"' || iso_v1((m).edited_at) || '"', 'null')
    || ',"isDeleted":' || (m).is_deleted || ',"deletedAt":' || coalesce('"' || iso_v1((m).deleted_at) || '"', 'null')
    || ',"reactions":' || (m).reactions || ',"mentions":' || array_to_json((m).mentions) || ',"createdAt":"' || iso_v1((m).created_at) || '"'
    || case when (m).recipient_id is null then '}' else
      ',"recipientId":' || to_json((m).recipient_id) || ',"isEncrypted":' || (m).is_encrypted
      || ',"isRead":' || ((m).read_at is not null) || ',"readAt":' || coalesce('"' || iso_v1((m).read_at) || '"', 'null') || '}' end
$$;

-- The whole. Whoever knows the sender already adds it in place of this, which looks it up.
create function message_json_v1(m messages) returns text language sql stable parallel safe as $$
  select left(message_fields_v1(m), -1) || ',"sender":' || coalesce(profile_json_v1((m).sender_id), 'null') || '}'
$$;

create function room_json_v1(r rooms) returns text language sql stable parallel safe as $$
  select row_to_json(b)::text from (
    select (r).id, (r).name, (r).type, (r).description, (r).course_id as "courseId", (r).created_by as "createdBy",
      (r).is_private as "isPrivate", (r).max_members as "maxMembers", (r).member_count as "memberCount",
      (r).last_seq as "lastSeq", (r).oldest_seq as "oldestSeq", iso_v1((r).created_at) as "createdAt",
      iso_v1((r).updated_at) as "updatedAt") b
$$;

create function member_json_v1(m memberships, u users) returns text language sql stable parallel safe as $$
  select row_to_json(b)::text from (
    select (m).room_id || ':' || (m).user_id as id, (m).room_id as "roomId", (m).user_id as "userId", (u).name, (u).avatar_url as "avatarUrl", (m).role,
      iso_v1((m).joined_at) as "joinedAt", iso_v1((m).last_read_at) as "lastReadAt",
      (m).last_read_seq as "lastReadSeq", (m).is_muted as "isMuted", (m).is_blocked as "isBlocked",
      (m).left_reason as "leftReason") b
$$;

-- Messages by others after a marker, stopped at 100. In order, though the count needs none: else the planner hopes to come
-- across 100 soon if it reads the table from its beginning.
create function unread_v1(room uuid, reader text, after_seq bigint) returns integer language sql stable parallel safe as $$
  select count(*)::integer from (
    select 1 from messages where room_id = room and seq > after_seq and not is_deleted and sender_id <> reader
    order by seq limit 100) t
$$;

-- The same of those that name the reader.
create function unread_mentions_v1(room uuid, reader text, after_seq bigint) returns integer language sql stable parallel safe as $$
  select count(*)::integer from (
    select 1 from messages where room_id = room and seq > after_seq and mentions <> '{}' and not is_deleted
      and reader = any (mentions) and sender_id <> reader
    order by seq limit 100) t
$$;

-- Unread is counted after here.
create function unread_after_v1(m memberships) returns bigint language sql immutable parallel safe as $$
  select least((m).last_read_seq, (m).unread_from_seq - 1)
$$;

-- The wire's Unread, of a member, valid at the room's last_seq.
create function unread_json_v1(m memberships, last_seq bigint) returns text language sql stable parallel safe as $$
  select case when last_seq <= unread_after_v1(m) then '{"count":0,"mentions":0' else
      '{"count":' || unread_v1((m).room_id, (m).user_id, unread_after_v1(m))
      || ',"mentions":' || unread_mentions_v1((m).room_id, (m).user_id, unread_after_v1(m)) end
    || ',"afterSeq":' || unread_after_v1(m) || ',"seq":' || last_seq || '}'
$$;
