-- append_messages_v1: the one way a message comes into being. A batch in, one row out per item, in the
-- batch's order: the message as it now is, or the code of an error. A bad item never fails its batch.
--
-- Why a function and not one statement: a statement that has waited for the room's lock still sees every
-- other table as it was before the wait, so repeats and bans slip through. Here each later statement has a
-- new snapshot. Lock order everywhere: rooms (sorted), users (sorted), memberships, messages.
--
-- item: {id, senderId, clientMessageId, content, type, attachments, replyToId?, sealed? (base64), keyId?}
--   and {roomId}, or {directKey, directLow, directHigh, newRoomId} for a room that may have to be made.
create function append_messages_v1(items jsonb)
returns table (ord integer, code text, is_repeat boolean, room_id uuid, seq bigint, message text,
  low text, high text, inbox_low bigint, inbox_high bigint)
language plpgsql volatile set lock_timeout = '1s' as $$
#variable_conflict use_column
declare
  directs jsonb;
  room_ids uuid[];
  pair_ids text[];
  stamp timestamptz;
begin
  select jsonb_agg(i) into directs from jsonb_array_elements(items) i
    where i ? 'directKey' and not exists (select from rooms r where r.direct_key = i->>'directKey');
  if directs is not null then
    insert into rooms (id, name, type, created_by, is_private, member_count, direct_key, direct_low, direct_high)
      select distinct on (d."directKey") d."newRoomId", '', 'DIRECT', d."senderId", true,
        case when d."directLow" = d."directHigh" then 1 else 2 end, d."directKey", d."directLow", d."directHigh"
      from jsonb_to_recordset(directs) as d("newRoomId" uuid, "senderId" text, "directKey" text, "directLow" text, "directHigh" text)
      where (select count(*) from users u where u.id in (d."directLow", d."directHigh"))
          = case when d."directLow" = d."directHigh" then 1 else 2 end
        and not exists (select from user_blocks b where (b.blocker_id, b.blocked_id)
          in ((d."directLow", d."directHigh"), (d."directHigh", d."directLow")))
      order by d."directKey"
      on conflict (direct_key) do nothing;
    insert into memberships (room_id, user_id, joined_seq, change_seq)
      select r.id, u.id, 0, 0 from rooms r join users u on u.id in (r.direct_low, r.direct_high)
      where r.direct_key in (select d->>'directKey' from jsonb_array_elements(directs) d)
      order by r.id, u.id
      on conflict do nothing;
  end if;

  select array_agg(id) into room_ids from (
    select (i->>'roomId')::uuid as id from jsonb_array_elements(items) i where i ? 'roomId'
    union select r.id from jsonb_array_elements(items) i join rooms r on r.direct_key = i->>'directKey') named;
  perform from rooms r where r.id = any (room_ids) order by r.id for no key update;

  select array_agg(u) into pair_ids from rooms r, unnest(array[r.direct_low, r.direct_high]) u
    where r.id = any (room_ids) and r.type = 'DIRECT';
  if pair_ids is not null then
    perform from users u where u.id = any (pair_ids) order by u.id for no key update;
  end if;

  stamp := clock_timestamp(); -- after the locks: created_at follows seq
  return query
  with input as (
    select * from rows from (jsonb_to_recordset(items) as (
      id uuid, "roomId" uuid, "directKey" text, "directLow" text, "directHigh" text, "senderId" text, "clientMessageId" text, content text, type text,
      attachments jsonb, "replyToId" uuid, sealed text, "keyId" text
    )) with ordinality as i(id, named_room, direct_key, named_low, named_high, sender_id, client_message_id, content, type,
      attachments, reply_to_id, sealed, key_id, ord)
  ), checked as (
    select i.*, r.id as room_id, r.last_seq, r.last_message_at, r.direct_low, r.direct_high, e.id as repeats,
      case when r.direct_low = i.sender_id then r.direct_high else r.direct_low end as recipient_id,
      case
        when r.id is null and exists (select from user_blocks b where (b.blocker_id, b.blocked_id)
          in ((i.named_low, i.named_high), (i.named_high, i.named_low))) then 'blocked'
        when r.id is null or r.deleted_at is not null then 'not_found'
        when m.is_blocked then 'banned'
        when m.user_id is null or m.left_seq is not null then 'not_member'
        when e.id is not null then null
        when r.type = 'DIRECT' and exists (select from user_blocks b where (b.blocker_id, b.blocked_id)
          in ((r.direct_low, r.direct_high), (r.direct_high, r.direct_low))) then 'blocked'
        when m.is_muted then 'muted'
        when i.reply_to_id is not null and not exists (
          select from messages p where p.id = i.reply_to_id and p.room_id = r.id) then 'reply_not_found'
      end as code
    from input i
    left join rooms d on d.direct_key = i.direct_key
    left join rooms r on r.id = coalesce(i.named_room, d.id)
    left join memberships m on m.room_id = r.id and m.user_id = i.sender_id
    left join messages e on e.room_id = r.id and e.sender_id = i.sender_id
      and e.client_message_id = i.client_message_id
  ), firsts as (
    -- a repeat inside the batch is the first one's message
    select c.*, first_value(c.ord) over same as first_ord
    from checked c where c.code is null and c.repeats is null
    window same as (partition by c.room_id, c.sender_id, c.client_message_id order by c.ord)
  ), numbered as (
    select f.*, f.last_seq + row_number() over (partition by f.room_id order by f.ord) as seq
    from firsts f where f.ord = f.first_ord
  ), noticed as (
    select n.ord, n.room_id, p.user_id, u.inbox_seq + row_number() over (partition by p.user_id order by n.ord) as inbox_seq
    from numbered n
    cross join lateral (select n.direct_low union select n.direct_high) p(user_id)
    join users u on u.id = p.user_id
  ), inserted as (
    insert into messages as m (id, room_id, seq, change_seq, sender_id, recipient_id, client_message_id, content,
      sealed, key_id, is_encrypted, type, attachments, reply_to_id, created_at, inbox_low, inbox_high)
    select n.id, n.room_id, n.seq, n.seq, n.sender_id, n.recipient_id, n.client_message_id, n.content,
      decode(n.sealed, 'base64'), n.key_id, n.sealed is not null, n.type, coalesce(n.attachments, '[]'), n.reply_to_id,
      greatest(stamp, n.last_message_at),
      (select t.inbox_seq from noticed t where t.ord = n.ord and t.user_id = n.direct_low),
      (select t.inbox_seq from noticed t where t.ord = n.ord and t.user_id = n.direct_high)
    from numbered n
    returning m.id, m.room_id, m.seq, m.inbox_low, m.inbox_high, message_json_v1(m) as message
  ), bumped as (
    update rooms r set last_seq = b.seq, last_message_at = greatest(stamp, r.last_message_at)
    from (select room_id, max(seq) as seq from numbered group by room_id) b
    where r.id = b.room_id
  ), inboxes as (
    update users u set inbox_seq = b.inbox_seq
    from (select user_id, max(inbox_seq) as inbox_seq from noticed group by user_id) b
    where u.id = b.user_id
  ), touched as (
    update memberships m set
      last_read_seq = greatest(m.last_read_seq, t.read_seq),
      last_read_at = case when t.read_seq > m.last_read_seq then stamp else m.last_read_at end,
      inbox_change_seq = greatest(m.inbox_change_seq, t.inbox_seq),
      joined_inbox_seq = case when m.joined_inbox_seq = 0 and t.inbox_seq is not null then t.first_inbox_seq else m.joined_inbox_seq end
    from (
      select room_id, user_id, max(read_seq) as read_seq, max(inbox_seq) as inbox_seq, min(inbox_seq) as first_inbox_seq from (
        select room_id, sender_id as user_id, seq as read_seq, null::bigint as inbox_seq from numbered
        union all select room_id, user_id, null, inbox_seq from noticed) s
      group by room_id, user_id) t
    where m.room_id = t.room_id and m.user_id = t.user_id
  )
  -- one that finds itself, as our own second try after an unknown outcome does, is no repeat: nobody has told of it
  select c.ord::integer, c.code, c.code is null and n.ord is null and (c.repeats is distinct from c.id or e.change_seq <> e.seq),
    c.room_id, coalesce(i.seq, e.seq), coalesce(i.message, message_json_v1(e)),
    c.direct_low, c.direct_high, coalesce(i.inbox_low, e.inbox_low), coalesce(i.inbox_high, e.inbox_high)
  from checked c
  left join firsts f on f.ord = c.ord
  left join numbered n on n.ord = c.ord
  left join numbered o on o.ord = f.first_ord
  left join inserted i on i.id = o.id
  left join messages e on e.id = c.repeats
  order by c.ord;
end $$;
