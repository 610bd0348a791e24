internal import CPlatform
import Glibc

/// Waits until at least one of `objects` is ready, and answers all that are, in their order
/// (CPython's `multiprocessing.connection.wait`). Empty when the time is over.
///
/// A connection is ready when a message, or the end of the file, can be received; a process's
/// sentinel when the process has ended.
///
/// - Parameters:
///   - objects: of one type. If there are none the call waits for the whole time, and not at all
///     without a time limit.
///   - timeout: nil without a bound, negative as 0.
/// - Throws: ``ConnectionError``: `closed` if one is closed, before or meanwhile; `writeOnly` for
///   an end that only sends; `system` with EBADF if a number is no open descriptor.
public func wait<Object: Waitable>(
  for objects: [Object], timeout: Duration? = nil
) throws(ConnectionError) -> [Object] {
  try readyPlaces(of: objects, timeout).map { objects[$0] }
}

/// The same for objects of several types.
public func wait(
  for objects: [any Waitable], timeout: Duration? = nil
) throws(ConnectionError) -> [any Waitable] {
  try readyPlaces(of: objects, timeout).map { objects[$0] }
}

private func readyPlaces(
  of objects: [any Waitable], _ timeout: Duration?
) throws(ConnectionError) -> [Int] {
  if objects.isEmpty, timeout == nil { return [] }
  let deadline = Deadline(after: timeout)
  var held: [OpenDescriptor] = []
  defer { for descriptor in held { descriptor.end() } }
  var entries: [pollfd] = []
  var events: [pollfd] = []
  for object in objects {
    if let connection = object as? Connection {
      try connection.requireReadable()
      entries.append(entry(try connection.descriptor.begin()))
      held.append(connection.descriptor)
      events.append(entry(try connection.descriptor.waitEvent()))
    } else {
      let number = object.waitDescriptor
      guard number >= 0 else { throw ConnectionError(.closed) }
      entries.append(entry(number))
    }
  }
  entries += events
  deadline.poll(&entries)
  if entries[objects.count...].contains(where: { $0.revents != 0 }) {
    throw ConnectionError(.closed)
  }
  if let entry = entries.first(where: { $0.revents & Int16(POLLNVAL) != 0 }) {
    throw ConnectionError(.system(EBADF), "descriptor \(entry.fd)")
  }
  return objects.indices.filter { entries[$0].revents != 0 }
}

private func entry(_ number: Int32) -> pollfd {
  pollfd(fd: number, events: Int16(POLLIN), revents: 0)
}
