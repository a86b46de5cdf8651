-- Attachments: what is known of each file. The bytes lie in a file store under `key`; a message shows its files as
-- they are in messages.attachments, so that a page of history reads nothing here. What a verdict says of a file is a
-- change of its message.
-- Lock order everywhere: rooms (sorted), attachments, users (sorted), memberships, messages.

-- What links to files are signed with: the same on every node, whatever tokens are signed with.
alter table server_state add column link_key text not null default gen_random_uuid()::text || gen_random_uuid()::text;
-- When the file store was last looked through for what nobody knows of.
alter table server_state add column strays_sought_at timestamptz not null default '-infinity';

-- state: uploading (nobody sees it, nothing may name it), then pending, then clean, infected or failed for good.
-- Sent or to be sent in room_id, or in the direct room of direct_key, which may not exist yet.
create table attachments (
  id            uuid primary key,
  key           text not null unique,
  uploader_id   text not null,
  room_id       uuid,
  direct_key    text,
  message_id    uuid,
  name          text not null,
  mime_type     text not null,
  kind          text not null check (kind in ('image', 'video', 'audio', 'voice', 'file')),
  -- files/file_kind.ts: FileKind
  facts         jsonb not null,
  -- while it is uploading: what is held for it of the uploader's quota
  bytes         bigint not null,
  sha256        text,
  duration_ms   integer,
  waveform      jsonb,
  state         text not null default 'uploading' check (state in ('uploading', 'pending', 'clean', 'infected', 'failed')),
  -- what the scanner has found, or why it could not look: for the uploader alone
  finding       text,
  attempts      integer not null default 0,
  -- when somebody is to look after it: to scan it, or to remove its bytes
  due_at        timestamptz not null default now(),
  created_at    timestamptz not null default now(),
  -- by a scanner; stays null where scanning was switched off
  scanned_at    timestamptz,
  -- nobody gets it any more; its bytes go next
  removed_at    timestamptz,
  bytes_gone_at timestamptz,
  check (room_id is not null or direct_key is not null)
);
create index attachments_message on attachments (message_id) where message_id is not null;
create index attachments_uploader on attachments (uploader_id, created_at);
create index attachments_pending on attachments (due_at) where state = 'pending' and removed_at is null;
create index attachments_known on attachments (sha256, bytes) where state = 'clean' and scanned_at is not null;
create index attachments_unsent on attachments (created_at) where message_id is null and removed_at is null;
create index attachments_doomed on attachments (due_at)
  where bytes_gone_at is null and (removed_at is not null or state in ('infected', 'failed'));
create index attachments_gone on attachments (bytes_gone_at) where removed_at is not null;

-- What somebody may have to answer for later. Never content.
create table audit_log (
  id         bigint generated always as identity primary key,
  at         timestamptz not null default clock_timestamp(),
  event      text not null,
  user_id    text,
  room_id    uuid,
  message_id uuid,
  details    jsonb not null default '{}'
);
create index audit_log_event on audit_log (event, at);

-- The wire's Attachment.
create function attachment_json_v1(a attachments) returns jsonb language sql stable parallel safe as $$
  select jsonb_build_object('id', (a).id, 'name', (a).name, 'mimeType', (a).mime_type, 'kind', (a).kind, 'size', (a).bytes,
    'state', (a).state, 'durationMs', (a).duration_ms, 'waveform', (a).waveform)
$$;

-- p: {id, key, userId, roomId | direct: {key, low, high}, name, mimeType, kind, facts, bytes, quota}. May the user send
-- there, and have so many bytes in a day? Not under the room's lock: the message itself is checked under it.
create function begin_upload_v1(p jsonb) returns jsonb language plpgsql volatile set lock_timeout = '1s' as $$
declare
  r rooms;
  m memberships;
  who text := p->>'userId';
  pair jsonb := p->'direct';
  used bigint;
begin
  if pair is null then
    select * into r from rooms where id = (p->>'roomId')::uuid;
    if r.id is null or r.deleted_at is not null then return refused_v1('not_found'); end if;
  else
    if not exists (select from users where id = pair->>'low') or not exists (select from users where id = pair->>'high') then
      return refused_v1('not_found');
    end if;
    if are_blocked_v1(pair->>'low', pair->>'high') then return refused_v1('blocked'); end if;
    select * into r from rooms where direct_key = pair->>'key';
  end if;
  if r.id is not null then
    select * into m from memberships where room_id = r.id and user_id = who;
    if m.is_blocked then return refused_v1('banned'); end if;
    if m.user_id is null or m.left_seq is not null then return refused_v1('not_member'); end if;
    if r.type = 'DIRECT' and are_blocked_v1(r.direct_low, r.direct_high) then return refused_v1('blocked'); end if;
    if m.is_muted then return refused_v1('muted'); end if;
  end if;
  if exists (select from attachments where id = (p->>'id')::uuid) then return done_v1('[]'); end if; -- our own second try
  perform pg_advisory_xact_lock(hashtextextended('scroll_chat.upload ' || who, 0)); -- or two at once would both fit
  select coalesce(sum(a.bytes), 0) into used from attachments a
    where a.uploader_id = who and a.created_at > clock_timestamp() - interval '1 day';
  if used + (p->>'bytes')::bigint > (p->>'quota')::bigint then
    return refused_v1('quota_exceeded') || jsonb_build_object('used', used);
  end if;
  insert into attachments (id, key, uploader_id, room_id, direct_key, name, mime_type, kind, facts, bytes)
    values ((p->>'id')::uuid, p->>'key', who, r.id, coalesce(r.direct_key, pair->>'key'), p->>'name', p->>'mimeType', p->>'kind',
      p->'facts', (p->>'bytes')::bigint);
  return done_v1('[]');
end $$;

-- p: {id, bytes, sha256, durationMs, waveform, scanning}. The bytes are there, whole. What was found clean a while ago is
-- clean; where nothing is scanned all of it is.
create function finish_upload_v1(p jsonb) returns jsonb language plpgsql volatile as $$
declare
  a attachments;
begin
  update attachments set bytes = (p->>'bytes')::bigint, sha256 = p->>'sha256', due_at = clock_timestamp(),
      duration_ms = (p->>'durationMs')::integer, waveform = nullif(p->'waveform', 'null'),
      scanned_at = k.scanned_at, state = case when k.scanned_at is null and (p->>'scanning')::boolean then 'pending' else 'clean' end
    from (select max(x.scanned_at) as scanned_at from attachments x
      where x.sha256 = p->>'sha256' and x.bytes = (p->>'bytes')::bigint and x.state = 'clean' and x.scanned_at is not null
        and x.scanned_at > clock_timestamp() - interval '1 day') k
    where id = (p->>'id')::uuid and state = 'uploading' and removed_at is null;
  select * into a from attachments where id = (p->>'id')::uuid;
  if a.id is null or a.removed_at is not null then return refused_v1('not_found'); end if;
  return done_v1('[]') || jsonb_build_object('attachment', attachment_json_v1(a));
end $$;

-- append_messages_v2: append_messages_v1, whose items may name files besides: {attachmentIds: […]}, each an upload of
-- the sender to that room which no message has yet. A batch without any may as well go to the first version.
create function append_messages_v2(items jsonb)
returns table (ord integer, code text, is_repeat boolean, room_id uuid, seq bigint, message text,
  low text, high text, inbox_low bigint, inbox_high bigint)
language plpgsql volatile set lock_timeout = '1s' set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
declare
  room_ids uuid[];
  good jsonb := '[]';
  places integer[] := '{}';
  taken uuid[] := '{}';
  ids uuid[];
  shown jsonb;
  is_unsafe boolean;
  d record;
  i record;
begin
  room_ids := array(select (x->>'roomId')::uuid from jsonb_array_elements(items) x where x ? 'roomId');
  for d in
    select distinct on (x->>'directKey') x->>'directKey' as key, x->>'directLow' as low, x->>'directHigh' as high,
      (x->>'newRoomId')::uuid as new_id, x->>'senderId' as maker
    from jsonb_array_elements(items) x where x ? 'directKey' order by x->>'directKey'
  loop
    if not exists (select from rooms r where r.direct_key = d.key) then
      perform make_direct_room_v1(d.new_id, d.key, d.low, d.high, d.maker);
    end if;
    room_ids := room_ids || (select r.id from rooms r where r.direct_key = d.key);
  end loop;
  perform from rooms r where r.id = any (room_ids) order by r.id for no key update;
  perform from attachments a where a.id in (select v::uuid from jsonb_array_elements(items) x,
    jsonb_array_elements_text(x->'attachmentIds') v) order by a.id for update;

  for i in
    select x.value as item, x.n::integer as place, x.value->>'senderId' as sender, x.value->>'clientMessageId' as told,
      r.id as room_id, r.direct_key
    from jsonb_array_elements(items) with ordinality x(value, n)
    left join lateral (select y.id, y.direct_key from rooms y
      where y.id = (x.value->>'roomId')::uuid or y.direct_key = x.value->>'directKey' offset 0) r on true
    order by x.n
  loop
    -- a repeat is answered with what there is, whatever it names now
    if i.item ? 'attachmentIds' and not exists (select from messages e
        where e.sender_id = i.sender and e.client_message_id = i.told and e.room_id = i.room_id)
      and not exists (select from jsonb_array_elements(good) g where g->>'senderId' = i.sender
        and g->>'clientMessageId' = i.told and (g->>'roomId' = i.item->>'roomId' or g->>'directKey' = i.item->>'directKey')) then
      ids := array(select v::uuid from jsonb_array_elements_text(i.item->'attachmentIds') v);
      select jsonb_agg(attachment_json_v1(a) order by array_position(ids, a.id)), bool_or(a.state in ('infected', 'failed'))
        into shown, is_unsafe
        from attachments a where a.id = any (ids) and a.id <> all (taken) and a.uploader_id = i.sender and a.message_id is null
          and a.removed_at is null and a.state <> 'uploading' and (a.room_id = i.room_id or a.direct_key = i.direct_key);
      if is_unsafe or coalesce(jsonb_array_length(shown), 0) < cardinality(ids) then
        ord := i.place;
        code := case when is_unsafe then 'attachment_unsafe' else 'attachment_not_found' end;
        is_repeat := false;
        return next;
        continue;
      end if;
      taken := taken || ids;
      i.item := i.item || jsonb_build_object('attachments', shown);
    end if;
    good := good || jsonb_build_array(i.item);
    places := places || i.place;
  end loop;

  return query select places[v.ord], v.code, v.is_repeat, v.room_id, v.seq, v.message, v.low, v.high, v.inbox_low, v.inbox_high
    from append_messages_v1(good) v;
  update attachments a set message_id = m.id, room_id = m.room_id
    from jsonb_array_elements(good) g, messages m
    where g ? 'attachmentIds' and m.id = (g->>'id')::uuid and a.id = any (taken) and a.message_id is null
      and g->'attachmentIds' ? a.id::text;
end $$;

-- p: {id, state, finding?, durationMs?}. The one way a file becomes clean, infected or failed; only the first word counts.
create function attachment_verdict_v1(p jsonb) returns jsonb language plpgsql volatile set lock_timeout = '1s' as $$
declare
  a attachments;
  r rooms;
  m messages;
  told jsonb := '[]';
begin
  select * into a from attachments where id = (p->>'id')::uuid;
  select * into r from rooms where id = a.room_id or direct_key = a.direct_key for no key update;
  select * into a from attachments where id = (p->>'id')::uuid for update;
  if a.id is null or a.state <> 'pending' then return done_v1('[]'); end if;
  if a.message_id is not null and r.id is null then -- the direct room was made since: begin again, and lock it
    raise exception using errcode = 'serialization_failure', message = 'The room of the file was just made';
  end if;
  update attachments set state = p->>'state', finding = p->>'finding', scanned_at = clock_timestamp(), due_at = clock_timestamp(),
      duration_ms = coalesce((p->>'durationMs')::integer, duration_ms)
    where id = a.id returning * into a;
  if a.state = 'infected' then
    insert into audit_log (event, user_id, room_id, message_id, details)
      values ('attachment.infected', a.uploader_id, a.room_id, a.message_id, jsonb_build_object('attachmentId', a.id,
        'signature', a.finding, 'sha256', a.sha256, 'name', a.name, 'mimeType', a.mime_type, 'bytes', a.bytes));
  end if;
  if a.message_id is not null and r.deleted_at is null then
    perform lock_pair_v1(r);
    update messages x set change_seq = bump_room_v1(r.id), attachments = (
        select jsonb_agg(case when e.value->>'id' = a.id::text then attachment_json_v1(a) else e.value end order by e.n)
        from jsonb_array_elements(x.attachments) with ordinality e(value, n))
      where x.id = a.message_id and not x.is_deleted returning x.* into m;
    if m.id is not null then
      told := jsonb_build_array(message_change_v1(m.id) || jsonb_build_object('attachment', attachment_json_v1(a)::text));
    end if;
  end if;
  return done_v1(told) || jsonb_build_object('attachment', attachment_json_v1(a), 'finding', a.finding, 'uploaderId', a.uploader_id);
end $$;

-- Files go with their message, whatever version of whichever function removes it.
create function forget_attachments_v1() returns trigger language plpgsql as $$
begin
  update attachments set removed_at = clock_timestamp(), due_at = clock_timestamp()
    where message_id = old.id and removed_at is null;
  return null;
end $$;
create trigger messages_tombstone after update of is_deleted on messages for each row
  when (new.is_deleted and not old.is_deleted and old.attachments <> '[]') execute function forget_attachments_v1();
create trigger messages_removed after delete on messages for each row
  when (old.attachments <> '[]') execute function forget_attachments_v1();
