-- Every other durable write: one call each, one transaction each. A function that nodes of an older
-- release may still call is never replaced, only superseded by its next version.
--
-- Each takes one jsonb and answers one: {"code": …} for what it refuses, else {"code": null, "changes": […], …}.
-- A change is what a publication is made of (store/changes.ts): where it stands in the room's sequence, or in a
-- user's inbox, and the row as clients see it. Ranks (who may) come from chat/permissions.ts; they are
-- checked here because only here is the room locked.
-- Lock order: rooms (sorted), users (sorted), memberships, messages.

create function bump_inbox_v1(who text) returns bigint language sql volatile as $$
  update users set inbox_seq = inbox_seq + 1 where id = who returning inbox_seq
$$;

create function bump_room_v1(which uuid) returns bigint language sql volatile as $$
  update rooms set last_seq = last_seq + 1 where id = which returning last_seq
$$;

create function room_change_v1(r rooms) returns jsonb language sql stable as $$
  select jsonb_build_object('kind', 'room', 'roomId', (r).id, 'seq', (r).meta_change_seq,
    'ended', (r).deleted_at is not null, 'json', room_json_v1(r))
$$;

create function membership_change_v1(which uuid, who text) returns jsonb language sql stable as $$
  select jsonb_build_object('kind', 'membership', 'roomId', which, 'seq', m.change_seq, 'userId', who,
    'firstSeq', coalesce(m.left_seq, m.joined_seq), 'ended', m.left_seq is not null, 'json', member_json_v1(m, u))
  from memberships m join users u on u.id = m.user_id where m.room_id = which and m.user_id = who
$$;

-- What a user's other devices are told. word: created, added, updated, removed.
create function inbox_change_v1(which uuid, who text, word text, reason text) returns jsonb language sql stable as $$
  select jsonb_build_object('kind', 'inbox', 'roomId', which, 'seq', m.inbox_change_seq, 'userId', who, 'word', word,
    'reason', reason, 'json', case when word <> 'removed' then room_json_v1(r) end,
    'member', case when word <> 'removed' then member_json_v1(m, u) end)
  from memberships m join users u on u.id = m.user_id join rooms r on r.id = m.room_id
  where m.room_id = which and m.user_id = who
$$;

-- What a change of a direct room's message touches beside it, in the order of all locks: a reader holds a membership
-- (mark_read_v1) and waits for messages. The room is locked.
create function lock_pair_v1(r rooms) returns void language plpgsql volatile as $$
begin
  if r.type = 'DIRECT' then
    perform from users u where u.id in (r.direct_low, r.direct_high) order by u.id for no key update;
    perform from memberships m where m.room_id = r.id order by m.user_id for no key update;
  end if;
end $$;

-- For a message whose row has just taken a new change_seq. In a direct room both inboxes move too.
create function message_change_v1(which uuid) returns jsonb language plpgsql volatile as $$
declare
  m messages;
  r rooms;
  low_seq bigint;
  high_seq bigint;
begin
  select * into m from messages where id = which;
  select * into r from rooms where id = m.room_id;
  if r.type = 'DIRECT' then
    low_seq := bump_inbox_v1(r.direct_low);
    high_seq := case when r.direct_high = r.direct_low then low_seq else bump_inbox_v1(r.direct_high) end;
    update memberships set inbox_change_seq = case when user_id = r.direct_low then low_seq else high_seq end
      where room_id = r.id;
    update messages set inbox_low = low_seq, inbox_high = high_seq where id = which;
  end if;
  return jsonb_build_object('kind', 'message', 'roomId', m.room_id, 'seq', m.change_seq, 'firstSeq', m.seq,
    'ended', m.is_deleted, 'json', message_json_v1(m), 'low', r.direct_low, 'high', r.direct_high,
    'inboxLow', low_seq, 'inboxHigh', high_seq);
end $$;

-- A platform admin outranks every role, but has no way into direct rooms.
create function rank_in_v1(which uuid, who text, is_admin boolean) returns integer language sql stable as $$
  select greatest(
    case when is_admin and exists (select from rooms where id = which and type <> 'DIRECT') then 5 else 0 end,
    coalesce((select role_rank_v1(role) from memberships where room_id = which and user_id = who and left_seq is null), 0))
$$;

create function refused_v1(code text) returns jsonb language sql immutable return jsonb_build_object('code', code);

create function done_v1(changes jsonb) returns jsonb language sql immutable
return jsonb_build_object('code', null, 'changes', changes);

create function begin_membership_v1(which uuid, who text, as_role text, word text) returns jsonb language plpgsql volatile as $$
declare
  at_seq bigint;
  at_inbox bigint;
begin
  at_seq := bump_room_v1(which);
  at_inbox := bump_inbox_v1(who);
  update rooms set member_count = member_count + 1 where id = which;
  insert into memberships as m (room_id, user_id, role, joined_seq, last_read_seq, change_seq, inbox_change_seq, joined_inbox_seq)
    values (which, who, as_role, at_seq, at_seq, at_seq, at_inbox, at_inbox)
    on conflict (room_id, user_id) do update set
      -- one that was only suspended comes back as it was
      role = case when m.left_reason = 'suspended' then m.role else as_role end,
      last_read_seq = case when m.left_reason = 'suspended' then m.last_read_seq else at_seq end,
      unread_from_seq = case when m.left_reason = 'suspended' then m.unread_from_seq end,
      joined_at = clock_timestamp(), joined_seq = at_seq, left_seq = null, left_reason = null,
      change_seq = at_seq, inbox_change_seq = at_inbox, joined_inbox_seq = at_inbox;
  return jsonb_build_array(membership_change_v1(which, who), inbox_change_v1(which, who, word, null));
end $$;

create function end_membership_v1(which uuid, who text, why text) returns jsonb language plpgsql volatile as $$
declare
  at_seq bigint;
  at_inbox bigint;
begin
  at_seq := bump_room_v1(which);
  at_inbox := bump_inbox_v1(who);
  update rooms set member_count = member_count - 1 where id = which;
  update memberships set left_seq = at_seq, left_reason = why, is_blocked = (why = 'banned'),
      change_seq = at_seq, inbox_change_seq = at_inbox
    where room_id = which and user_id = who;
  return jsonb_build_array(membership_change_v1(which, who), inbox_change_v1(which, who, 'removed', why));
end $$;

create function is_last_owner_v1(which uuid, who text) returns boolean language sql stable as $$
  select exists (select from memberships where room_id = which and user_id = who and role = 'OWNER' and left_seq is null)
    and not exists (select from memberships where room_id = which and user_id <> who and role = 'OWNER' and left_seq is null)
$$;

-- p: {id, name, type, description, courseId, isPrivate, maxMembers, userId}
create function create_room_v1(p jsonb) returns jsonb language plpgsql volatile set lock_timeout = '1s' as $$
declare
  r rooms;
  changes jsonb;
begin
  insert into rooms (id, name, type, description, course_id, created_by, is_private, max_members, last_seq, meta_change_seq)
    values ((p->>'id')::uuid, p->>'name', p->>'type', p->>'description', p->>'courseId', p->>'userId',
      (p->>'isPrivate')::boolean, (p->>'maxMembers')::integer, 1, 1)
    on conflict (id) do nothing;
  if not found then -- our own retry after an outcome that nobody saw
    return done_v1('[]');
  end if;
  select * into r from rooms where id = (p->>'id')::uuid;
  changes := jsonb_build_array(room_change_v1(r)) || begin_membership_v1(r.id, p->>'userId', 'OWNER', 'created');
  return done_v1(changes);
end $$;

-- p: {roomId, userId, isAdmin, role, limit}. Open to all but private rooms and other courses' rooms. Which courses
-- one takes is what the newest token said, whatever an older one that is still valid says.
create function join_room_v1(p jsonb) returns jsonb language plpgsql volatile set lock_timeout = '1s' as $$
declare
  r rooms;
  m memberships;
  u users;
  who text := p->>'userId';
begin
  select * into r from rooms where id = (p->>'roomId')::uuid for no key update;
  if r.id is null or r.deleted_at is not null then return refused_v1('not_found'); end if;
  select * into m from memberships where room_id = r.id and user_id = who;
  if m.user_id is not null and m.left_seq is null then return done_v1('[]'); end if;
  if r.type = 'DIRECT' then return refused_v1('not_found'); end if;
  if m.is_blocked then return refused_v1('banned'); end if;
  select * into u from users where id = who for no key update; -- or a course that is just being lost is not seen
  if not (p->>'isAdmin')::boolean and ((r.is_private and m.left_reason is distinct from 'suspended')
    or (r.course_id is not null and not r.course_id = any (u.courses))) then return refused_v1('not_found'); end if;
  if r.member_count >= least(coalesce(r.max_members, (p->>'limit')::integer), (p->>'limit')::integer) then
    return refused_v1('room_full');
  end if;
  -- the role that the newest token gives, whatever an older one says
  return done_v1(begin_membership_v1(r.id, who, case when u.role = 'teacher' then p->>'role' else 'MEMBER' end, 'added'));
end $$;

create function leave_room_v1(p jsonb) returns jsonb language plpgsql volatile set lock_timeout = '1s' as $$
declare
  r rooms;
  who text := p->>'userId';
begin
  select * into r from rooms where id = (p->>'roomId')::uuid for no key update;
  if r.id is null or r.deleted_at is not null then return refused_v1('not_found'); end if;
  if rank_in_v1(r.id, who, false) = 0 then return refused_v1('not_member'); end if;
  if r.type = 'DIRECT' then return refused_v1('direct'); end if;
  if r.member_count > 1 and is_last_owner_v1(r.id, who) then return refused_v1('last_owner'); end if;
  return done_v1(end_membership_v1(r.id, who, 'left'));
end $$;

-- p: {roomId, actorId, isAdmin, userId, role, minRank, minRankOpen, limit}
create function add_member_v1(p jsonb) returns jsonb language plpgsql volatile set lock_timeout = '1s' as $$
declare
  r rooms;
  m memberships;
  u users;
  rank integer;
begin
  select * into r from rooms where id = (p->>'roomId')::uuid for no key update;
  if r.id is null or r.deleted_at is not null then return refused_v1('not_found'); end if;
  rank := rank_in_v1(r.id, p->>'actorId', (p->>'isAdmin')::boolean);
  if rank = 0 then return refused_v1('not_member'); end if;
  if r.type = 'DIRECT' then return refused_v1('direct'); end if;
  if rank < (case when r.is_private then p->>'minRank' else p->>'minRankOpen' end)::integer
    or (role_rank_v1(p->>'role') > 1 and role_rank_v1(p->>'role') >= rank and rank < 4) then return refused_v1('forbidden'); end if;
  select * into u from users where id = p->>'userId' for no key update; -- as in join_room_v1
  if u.id is null then return refused_v1('user_not_found'); end if;
  select * into m from memberships where room_id = r.id and user_id = u.id;
  if m.user_id is not null and m.left_seq is null then return done_v1('[]'); end if;
  if m.is_blocked then return refused_v1('target_banned'); end if;
  if r.course_id is not null and not r.course_id = any (u.courses) then return refused_v1('target_not_in_course'); end if;
  if r.member_count >= least(coalesce(r.max_members, (p->>'limit')::integer), (p->>'limit')::integer) then
    return refused_v1('room_full');
  end if;
  return done_v1(begin_membership_v1(r.id, u.id, p->>'role', 'added'));
end $$;

-- p: {roomId, actorId, isAdmin, userId, patch: {role?, isMuted?, isBlocked?}, minRanks: {role, mute, ban}}
create function update_member_v1(p jsonb) returns jsonb language plpgsql volatile set lock_timeout = '1s' as $$
declare
  r rooms;
  m memberships;
  rank integer;
  target_rank integer;
  patch jsonb := p->'patch';
  to_rank integer := role_rank_v1(p->'patch'->>'role');
  who text := p->>'userId';
  at_inbox bigint;
begin
  select * into r from rooms where id = (p->>'roomId')::uuid for no key update;
  if r.id is null or r.deleted_at is not null then return refused_v1('not_found'); end if;
  rank := rank_in_v1(r.id, p->>'actorId', (p->>'isAdmin')::boolean);
  if rank = 0 then return refused_v1('not_member'); end if;
  if r.type = 'DIRECT' then return refused_v1('direct'); end if;
  select * into m from memberships where room_id = r.id and user_id = who;
  target_rank := case when m.left_seq is null then role_rank_v1(m.role) else 0 end;
  if (patch ? 'role' and rank < (p->'minRanks'->>'role')::integer and who <> p->>'actorId')
    or (patch ? 'isMuted' and rank < (p->'minRanks'->>'mute')::integer)
    or (patch ? 'isBlocked' and rank < (p->'minRanks'->>'ban')::integer)
    -- one may act on those below, an owner on anyone; on oneself only to step down
    or (who <> p->>'actorId' and target_rank >= rank and rank < 4)
    or (who = p->>'actorId' and (patch ? 'isMuted' or patch ? 'isBlocked' or to_rank > target_rank))
    or (to_rank >= rank and rank < 4 and who <> p->>'actorId') then return refused_v1('forbidden'); end if;
  if not exists (select from users where id = who) then return refused_v1('user_not_found'); end if;

  if (patch->>'isBlocked')::boolean then
    if m.is_blocked then return done_v1('[]'); end if;
    if m.user_id is not null and m.left_seq is null then
      if is_last_owner_v1(r.id, who) then return refused_v1('last_owner'); end if;
      return done_v1(end_membership_v1(r.id, who, 'banned'));
    end if;
    -- no membership ends here: left_seq stays where it is, and the room hears of a change, not of a leaving
    insert into memberships as b (room_id, user_id, joined_seq, left_seq, left_reason, is_blocked, change_seq)
      select r.id, who, 0, 0, 'banned', true, s from bump_room_v1(r.id) s
      on conflict (room_id, user_id) do update set
        left_reason = 'banned', is_blocked = true, change_seq = excluded.change_seq;
    return done_v1(jsonb_build_array(membership_change_v1(r.id, who)));
  end if;
  if m.user_id is null then return refused_v1('user_not_member'); end if;
  if not (patch->>'isBlocked')::boolean and m.is_blocked then
    update memberships set is_blocked = false, left_reason = 'left', change_seq = bump_room_v1(r.id)
      where room_id = r.id and user_id = who;
    return done_v1(jsonb_build_array(membership_change_v1(r.id, who)));
  end if;
  if m.left_seq is not null then return refused_v1('user_not_member'); end if;
  if patch ? 'role' and to_rank < 4 and is_last_owner_v1(r.id, who) then return refused_v1('last_owner'); end if;
  if m.role = coalesce(patch->>'role', m.role) and m.is_muted = coalesce((patch->>'isMuted')::boolean, m.is_muted) then
    return done_v1('[]');
  end if;
  at_inbox := bump_inbox_v1(who);
  update memberships set role = coalesce(patch->>'role', role), is_muted = coalesce((patch->>'isMuted')::boolean, is_muted),
      change_seq = bump_room_v1(r.id), inbox_change_seq = at_inbox
    where room_id = r.id and user_id = who;
  return done_v1(jsonb_build_array(membership_change_v1(r.id, who), inbox_change_v1(r.id, who, 'updated', null)));
end $$;

-- p: {roomId, actorId, isAdmin, userId, minRank}
create function remove_member_v1(p jsonb) returns jsonb language plpgsql volatile set lock_timeout = '1s' as $$
declare
  r rooms;
  rank integer;
  target_rank integer;
begin
  select * into r from rooms where id = (p->>'roomId')::uuid for no key update;
  if r.id is null or r.deleted_at is not null then return refused_v1('not_found'); end if;
  rank := rank_in_v1(r.id, p->>'actorId', (p->>'isAdmin')::boolean);
  if rank = 0 then return refused_v1('not_member'); end if;
  if r.type = 'DIRECT' then return refused_v1('direct'); end if;
  target_rank := rank_in_v1(r.id, p->>'userId', false);
  if rank < (p->>'minRank')::integer or (target_rank >= rank and rank < 4) then return refused_v1('forbidden'); end if;
  if target_rank = 0 then return refused_v1('user_not_member'); end if;
  if is_last_owner_v1(r.id, p->>'userId') then return refused_v1('last_owner'); end if;
  return done_v1(end_membership_v1(r.id, p->>'userId', 'removed'));
end $$;

-- p: {roomId, actorId, isAdmin, minRank, limit, patch: {name?, description?, isPrivate?, maxMembers?}}
create function update_room_v1(p jsonb) returns jsonb language plpgsql volatile set lock_timeout = '1s' as $$
declare
  r rooms;
  rank integer;
  patch jsonb := p->'patch';
begin
  select * into r from rooms where id = (p->>'roomId')::uuid for no key update;
  if r.id is null or r.deleted_at is not null then return refused_v1('not_found'); end if;
  rank := rank_in_v1(r.id, p->>'actorId', (p->>'isAdmin')::boolean);
  if rank = 0 then return refused_v1('not_member'); end if;
  if r.type = 'DIRECT' then return refused_v1('direct'); end if;
  if rank < (p->>'minRank')::integer then return refused_v1('forbidden'); end if;
  if patch ? 'isPrivate' and r.type = any (array['PUBLIC', 'PRIVATE'])
    and (patch->>'isPrivate')::boolean <> r.is_private then return refused_v1('fixed_privacy'); end if;
  if (patch->>'maxMembers')::integer < r.member_count then return refused_v1('below_member_count'); end if;
  update rooms set
      name = coalesce(patch->>'name', name),
      description = case when patch ? 'description' then patch->>'description' else description end,
      is_private = coalesce((patch->>'isPrivate')::boolean, is_private),
      max_members = case when patch ? 'maxMembers' then (patch->>'maxMembers')::integer else max_members end,
      meta_change_seq = last_seq + 1, last_seq = last_seq + 1, updated_at = clock_timestamp()
    where id = r.id returning * into r;
  return done_v1(jsonb_build_array(room_change_v1(r)));
end $$;

-- p: {roomId, actorId, isAdmin, minRank}. Soft; memberships stay as they are, but every member's inbox is told.
create function delete_room_v1(p jsonb) returns jsonb language plpgsql volatile set lock_timeout = '1s' as $$
declare
  r rooms;
  rank integer;
  told jsonb;
begin
  select * into r from rooms where id = (p->>'roomId')::uuid for no key update;
  if r.id is null or r.deleted_at is not null then return refused_v1('not_found'); end if;
  rank := rank_in_v1(r.id, p->>'actorId', (p->>'isAdmin')::boolean);
  if rank = 0 then return refused_v1('not_member'); end if;
  if r.type = 'DIRECT' then return refused_v1('direct'); end if;
  if rank < (p->>'minRank')::integer then return refused_v1('forbidden'); end if;
  update rooms set deleted_at = clock_timestamp(), updated_at = clock_timestamp(),
      meta_change_seq = last_seq + 1, last_seq = last_seq + 1
    where id = r.id returning * into r;
  perform from users u where u.id in (select user_id from memberships where room_id = r.id and left_seq is null)
    order by u.id for no key update;
  with bumped as (
    update users u set inbox_seq = inbox_seq + 1
    where u.id in (select user_id from memberships where room_id = r.id and left_seq is null)
    returning u.id, u.inbox_seq
  ), noted as (
    update memberships m set inbox_change_seq = b.inbox_seq from bumped b
    where m.room_id = r.id and m.user_id = b.id returning m.user_id, m.inbox_change_seq
  )
  select coalesce(jsonb_agg(jsonb_build_object('kind', 'inbox', 'roomId', r.id, 'seq', inbox_change_seq, 'userId', user_id,
    'word', 'removed', 'reason', 'deleted', 'json', null, 'member', null)), '[]') into told from noted;
  return done_v1(jsonb_build_array(room_change_v1(r)) || told);
end $$;

-- p: {messageId, actorId, content, mentions?, sealed?, keyId?}. Only the sender, while a member that may write.
create function edit_message_v1(p jsonb) returns jsonb language plpgsql volatile set lock_timeout = '1s' as $$
declare
  r rooms;
  m messages;
  s memberships;
begin
  select * into m from messages where id = (p->>'messageId')::uuid;
  select * into r from rooms where id = m.room_id for no key update;
  if r.id is null or r.deleted_at is not null then return refused_v1('not_found'); end if;
  select * into m from messages where id = m.id;
  select * into s from memberships where room_id = r.id and user_id = p->>'actorId' and left_seq is null;
  if s.user_id is null or m.id is null or m.is_deleted then return refused_v1('not_found'); end if;
  if m.sender_id <> s.user_id then return refused_v1('forbidden'); end if;
  if s.is_muted then return refused_v1('muted'); end if;
  if r.type = 'DIRECT' and exists (select from user_blocks b where (b.blocker_id, b.blocked_id)
    in ((r.direct_low, r.direct_high), (r.direct_high, r.direct_low))) then return refused_v1('blocked'); end if;
  perform lock_pair_v1(r);
  update messages set content = p->>'content', mentions = mentions_v1(r.id, p->>'content', p->'mentions'), sealed = decode(p->>'sealed', 'base64'), key_id = p->>'keyId',
      is_encrypted = p ? 'sealed', is_edited = true, edited_at = clock_timestamp(), change_seq = bump_room_v1(r.id)
    where id = m.id;
  return done_v1(jsonb_build_array(message_change_v1(m.id)));
end $$;

-- p: {messageId, actorId, isAdmin, minRank}. The sender's own, or another's from minRank on. A tombstone stays.
create function delete_message_v1(p jsonb) returns jsonb language plpgsql volatile set lock_timeout = '1s' as $$
declare
  r rooms;
  m messages;
  rank integer;
begin
  select * into m from messages where id = (p->>'messageId')::uuid;
  select * into r from rooms where id = m.room_id for no key update;
  if r.id is null or r.deleted_at is not null then return refused_v1('not_found'); end if;
  select * into m from messages where id = m.id;
  rank := rank_in_v1(r.id, p->>'actorId', (p->>'isAdmin')::boolean);
  if m.id is null or rank = 0 then return refused_v1('not_found'); end if;
  if m.sender_id <> p->>'actorId' and (rank < (p->>'minRank')::integer or r.type = 'DIRECT') then
    return refused_v1('forbidden');
  end if;
  if m.is_deleted then
    return done_v1('[]') || jsonb_build_object('message', message_json_v1(m));
  end if;
  perform lock_pair_v1(r);
  update messages set content = '', sealed = null, key_id = null, attachments = '[]', reactions = '[]', mentions = '{}', is_deleted = true,
      deleted_at = clock_timestamp(), deleted_by = p->>'actorId', change_seq = bump_room_v1(r.id)
    where id = m.id;
  return done_v1(jsonb_build_array(message_change_v1(m.id)));
end $$;

-- p: {messageId, userId}. Never backwards; not sequenced. What was marked as unread is read up to here.
create function mark_read_v1(p jsonb) returns jsonb language plpgsql volatile set lock_timeout = '1s' as $$
declare
  r rooms;
  m memberships;
  to_seq bigint;
  in_room uuid;
  moves boolean;
  marks boolean := false;
  stamp timestamptz := clock_timestamp();
begin
  select x.seq, x.room_id into to_seq, in_room from messages x where x.id = (p->>'messageId')::uuid;
  select * into r from rooms where id = in_room;
  if r.id is null or r.deleted_at is not null then return refused_v1('not_found'); end if;
  select * into m from memberships where room_id = r.id and user_id = p->>'userId' and left_seq is null for no key update;
  if m.user_id is null then return refused_v1('not_found'); end if;
  moves := to_seq > m.last_read_seq;
  if moves or to_seq >= m.unread_from_seq then
    update memberships set
        last_read_seq = greatest(last_read_seq, to_seq),
        last_read_at = case when moves then stamp else last_read_at end,
        unread_from_seq = case when to_seq < last_read_seq then to_seq + 1 end
      where room_id = r.id and user_id = m.user_id;
  end if;
  if r.type = 'DIRECT' then -- from the newest that is marked: one's own send has moved the marker past some that are not
    update messages set read_at = stamp
      where room_id = r.id and sender_id <> m.user_id and read_at is null and seq <= greatest(to_seq, m.last_read_seq)
        and seq > coalesce((select x.seq from messages x where x.room_id = r.id and x.sender_id <> m.user_id
          and x.read_at is not null order by x.seq desc limit 1), 0);
    marks := found;
  end if;
  return done_v1('[]') || marker_v1(r, p->>'userId') || jsonb_build_object('moved', moves or marks);
end $$;

-- p: {messageId, userId}. Unread from this message on; how far the user has read, as others see it, stays.
create function mark_unread_v1(p jsonb) returns jsonb language plpgsql volatile set lock_timeout = '1s' as $$
declare
  r rooms;
  m memberships;
  from_seq bigint;
  in_room uuid;
begin
  select x.seq, x.room_id into from_seq, in_room from messages x where x.id = (p->>'messageId')::uuid;
  select * into r from rooms where id = in_room;
  if r.id is null or r.deleted_at is not null then return refused_v1('not_found'); end if;
  select * into m from memberships where room_id = r.id and user_id = p->>'userId' and left_seq is null for no key update;
  if m.user_id is null then return refused_v1('not_found'); end if;
  update memberships set unread_from_seq = case when from_seq <= last_read_seq then from_seq end
    where room_id = r.id and user_id = m.user_id;
  return done_v1('[]') || marker_v1(r, p->>'userId');
end $$;

-- Where a member stands in a room, for the answer and for whoever is told of it.
create function marker_v1(r rooms, who text) returns jsonb language sql stable as $$
  select jsonb_build_object('roomId', (r).id, 'lastReadSeq', m.last_read_seq, 'lastReadAt', iso_v1(m.last_read_at),
    'unread', unread_json_v1(m, x.last_seq), 'low', (r).direct_low, 'high', (r).direct_high)
  from memberships m join rooms x on x.id = m.room_id where m.room_id = (r).id and m.user_id = who
$$;

-- The memberships of course rooms that the courses held do not agree with: active ones to suspend, suspended ones to restore.
create function course_steps_v1(who text, held text[], as_role text) returns table (room_id uuid, active boolean)
language sql stable as $$
  select m.room_id, m.left_seq is null from memberships m join rooms r on r.id = m.room_id
  where m.user_id = who and r.course_id is not null and r.deleted_at is null
    and (m.left_seq is null or m.left_reason = 'suspended')
    and (m.left_seq is null) <> (r.course_id = any (held) or as_role = 'admin')
$$;

-- p: {userId, name, avatarUrl, role, courses, issuedAt, limit}. Projects the token's claims; a lost course suspends the
-- memberships of its rooms, a regained one restores them. An older token than the newest seen changes nothing.
create function sync_user_v1(p jsonb) returns jsonb language plpgsql volatile set lock_timeout = '1s' as $$
declare
  who text := p->>'userId';
  issued timestamptz := (p->>'issuedAt')::timestamptz;
  room_limit integer := (p->>'limit')::integer;
  held text[] := array(select jsonb_array_elements_text(p->'courses'));
  u users;
  told jsonb := '[]';
  affected uuid[];
  step record;
begin
  insert into users (id, name, avatar_url, role, courses, claims_at)
    values (who, p->>'name', p->>'avatarUrl', p->>'role', held, issued)
    on conflict (id) do nothing;
  select * into u from users where id = who;
  if u.claims_at <= issued then
    -- most often nothing: a socket that comes back must not queue behind the rooms of its courses
    select array_agg(s.room_id) into affected from course_steps_v1(who, held, p->>'role') s;
    perform from rooms r where r.id = any (affected) order by r.id for no key update;
    if affected is not null or u.last_seen_at < clock_timestamp() - interval '1 minute'
      or (u.name, u.avatar_url, u.role, u.courses, u.claims_at)
        is distinct from (p->>'name', p->>'avatarUrl', p->>'role', held, issued) then
      select * into u from users where id = who for no key update;
      if u.claims_at <= issued then
        update users set name = p->>'name', avatar_url = p->>'avatarUrl', role = p->>'role', courses = held,
          claims_at = issued, last_seen_at = case when status = 'invisible' then last_seen_at else clock_timestamp() end
          where id = who;
        for step in
          select s.*, r.member_count < least(coalesce(r.max_members, room_limit), room_limit) as has_place
          from course_steps_v1(who, held, p->>'role') s join rooms r on r.id = s.room_id order by s.room_id
        loop
          if step.active then
            told := told || end_membership_v1(step.room_id, who, 'suspended');
          elsif step.has_place then
            told := told || begin_membership_v1(step.room_id, who, 'MEMBER', 'added');
          end if;
        end loop;
      end if;
    end if;
  end if;
  return done_v1(told) || (select jsonb_build_object('inboxSeq', x.inbox_seq, 'status', status_v1(x),
    'epoch', s.epoch) from users x, server_state s where x.id = who);
end $$;

-- What a user chose to be shown as.
create function status_v1(u users) returns jsonb language sql stable as $$
  select jsonb_build_object('version', (u).status_version, 'choice', (u).status, 'text', (u).status_text, 'emoji', (u).status_emoji, 'until', iso_v1((u).status_until))
$$;

-- p: {userId, status?, customStatus?: {text, emoji, expiresAt} | null}. Who turns invisible was last seen now.
create function set_status_v1(p jsonb) returns jsonb language plpgsql volatile set lock_timeout = '1s' as $$
declare
  u users;
  line jsonb := p->'customStatus';
begin
  update users set
      last_seen_at = case when status <> 'invisible' and p->>'status' = 'invisible' then clock_timestamp() else last_seen_at end,
      status_version = status_version + 1,
      status = coalesce(p->>'status', status),
      status_text = case when line is null then status_text else line->>'text' end,
      status_emoji = case when line is null then status_emoji else line->>'emoji' end,
      status_until = case when line is null then status_until else (line->>'expiresAt')::timestamptz end
    where id = p->>'userId' returning * into u;
  return done_v1('[]') || jsonb_build_object('status', status_v1(u));
end $$;

-- Who is to hear that a user comes, goes or changes: those of small rooms with the user, but none whom the user has
-- blocked. `gone`: the user is last seen now, unless nobody saw them.
create function presence_audience_v1(who text, room_members integer, max_rooms integer, gone boolean) returns jsonb
language plpgsql volatile set lock_timeout = '1s' as $$
begin
  if gone then
    update users set last_seen_at = clock_timestamp() where id = who and status <> 'invisible';
  end if;
  return done_v1('[]') || (select jsonb_build_object(
    'user', profile_json_v1(who)::jsonb, 'lastSeenAt', iso_v1(u.last_seen_at), 'chosen', status_v1(u),
    'rooms', coalesce((select jsonb_agg(x.id) from (
        select r.id from memberships m join rooms r on r.id = m.room_id
        where m.user_id = who and m.left_seq is null and r.deleted_at is null and r.type <> 'DIRECT' and r.member_count <= room_members
        order by r.last_message_at desc limit max_rooms) x), '[]'),
    'hiddenFrom', coalesce((select jsonb_agg(b.blocked_id) from user_blocks b where b.blocker_id = who), '[]'))
    from users u where u.id = who);
end $$;

-- Blocks take the direct room's lock, so that a send that waits for it sees them.
create function block_user_v1(blocker text, blocked text, direct text) returns jsonb
language plpgsql volatile set lock_timeout = '1s' as $$
begin
  if not exists (select from users where id = blocked) then return refused_v1('user_not_found'); end if;
  perform from rooms where direct_key = direct for no key update;
  insert into user_blocks (blocker_id, blocked_id) values (blocker, blocked) on conflict do nothing;
  return done_v1('[]');
end $$;

-- Removes the oldest messages of one room that has some from before the cutoff: at most max_rows, always a
-- prefix of the sequence. A room under legal hold is passed over. {"more"} tells whether to call again.
create function retain_v1(cutoff timestamptz, max_rows integer) returns jsonb
language plpgsql volatile set lock_timeout = '1s' as $$
declare
  r rooms;
  first_kept bigint;
  low_seq bigint;
  high_seq bigint;
  gone integer;
begin
  if not pg_try_advisory_xact_lock(hashtext('scroll_chat.retention')) then
    return done_v1('[]') || jsonb_build_object('more', false, 'removed', 0);
  end if;
  -- created_at follows seq, so a room's first message tells
  select o.* into r from rooms o where not o.legal_hold
    and (select m.created_at from messages m where m.room_id = o.id order by m.seq limit 1) < cutoff
    limit 1 for no key update skip locked;
  if r.id is null then return done_v1('[]') || jsonb_build_object('more', false, 'removed', 0); end if;
  select max(seq) + 1, count(*) into first_kept, gone from (
    select seq, created_at from messages where room_id = r.id order by seq limit max_rows) old
    where created_at < cutoff;
  perform lock_pair_v1(r);
  delete from messages where room_id = r.id and seq < first_kept;
  update rooms set oldest_seq = first_kept, meta_change_seq = last_seq + 1, last_seq = last_seq + 1
    where id = r.id returning * into r;
  if r.type = 'DIRECT' then
    low_seq := bump_inbox_v1(r.direct_low);
    high_seq := case when r.direct_high = r.direct_low then low_seq else bump_inbox_v1(r.direct_high) end;
    update memberships set inbox_change_seq = case when user_id = r.direct_low then low_seq else high_seq end
      where room_id = r.id;
  end if;
  return done_v1(jsonb_build_array(room_change_v1(r) || jsonb_build_object(
      'low', r.direct_low, 'high', r.direct_high, 'inboxLow', low_seq, 'inboxHigh', high_seq)))
    || jsonb_build_object('more', true, 'removed', gone);
end $$;
