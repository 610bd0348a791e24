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
///   an end that only sends; `system` with EBADF if a number is no open descriptor, with EINVAL if
///   there are more of them than this process may have open by now (RLIMIT_NOFILE). In a process of
///   several threads each connection has two.
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
  var set = WaitSet(capacity: objects.count)
  var events: [Int32] = []
  for object in objects {
    if let connection = object as? Connection {
      try connection.requireReadable()
      set.add(try connection.descriptor.begin())
      held.append(connection.descriptor)
      let event = try connection.descriptor.waitEvent()
      if event >= 0 { events.append(event) }
    } else {
      let number = object.waitDescriptor
      guard number >= 0 else { throw ConnectionError(.closed) }
      set.add(number)
    }
  }
  return try set.wait(until: deadline, closing: events)
}

/// What one call waits for: each descriptor once, however often it was named, since poll(2) takes
/// no more entries than a process may have descriptors open.
private struct WaitSet {
  private var entries: [pollfd] = []
  /// By place in the list that was given: its place in `entries`.
  private var places: [Int] = []
  /// By descriptor: its place in `entries`.
  private var known: [Int32: Int] = [:]

  init(capacity: Int) {
    entries.reserveCapacity(2 * capacity)
    places.reserveCapacity(capacity)
  }

  /// The next of the list.
  mutating func add(_ descriptor: Int32) {
    places.append(watch(descriptor))
  }

  private mutating func watch(_ descriptor: Int32) -> Int {
    if let place = known[descriptor] { return place }
    known[descriptor] = entries.count
    entries.append(pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0))
    return entries.count - 1
  }

  /// The places in the list that are ready; `events` are ready where one has been closed.
  mutating func wait(
    until deadline: Deadline, closing events: [Int32]
  ) throws(ConnectionError) -> [Int] {
    let closings = events.map { watch($0) }
    do throws(SystemCallError) {
      try deadline.poll(&entries)
    } catch {
      throw ConnectionError(
        .system(error.number), "to wait for \(entries.count) descriptors (see RLIMIT_NOFILE)")
    }
    if closings.contains(where: { entries[$0].revents != 0 }) {
      throw ConnectionError(.closed)
    }
    if let entry = entries.first(where: { $0.revents & Int16(POLLNVAL) != 0 }) {
      throw ConnectionError(.system(EBADF), "descriptor \(entry.fd)")
    }
    return places.indices.filter { entries[places[$0]].revents != 0 }
  }
}
