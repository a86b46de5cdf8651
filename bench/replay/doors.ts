/** The doors by the names that the command line has for them. */
import type { Door } from "./door.ts";
import { nativeDoor } from "./native_door.ts";
import { socketIoDoor } from "./socketio_door.ts";

export const DOOR_NAMES = ["native", "socketio", "socketio-polling", "mixed"] as const;
export type DoorName = typeof DOOR_NAMES[number];

export function openDoor(name: DoorName, serverUrls: readonly string[]): Door {
  switch (name) {
    case "native":
      return nativeDoor(serverUrls);
    case "socketio":
      return socketIoDoor(serverUrls, name);
    case "socketio-polling":
      return socketIoDoor(serverUrls, name, ["polling"]);
    case "mixed":
      return mixedDoor(serverUrls);
  }
}

/** Each in turn, in the same rooms. */
function mixedDoor(serverUrls: readonly string[]): Door {
  const doors = [
    nativeDoor(serverUrls),
    socketIoDoor(serverUrls, "socketio"),
    socketIoDoor(serverUrls, "socketio-websocket", ["websocket"]),
    socketIoDoor(serverUrls, "socketio-polling", ["polling"]),
  ];
  let turn = 0;
  return {
    name: "mixed",
    connect: (token, ears) => {
      const door = doors[turn++ % doors.length]!;
      return door.connect(token, ears);
    },
  };
}
