internal import CPlatform
import Glibc

/// The descriptors that one thread waits for.
final class PollSet {
  private var entries: [pollfd] = []
  /// By descriptor; -1 where it is not watched.
  private var places: [Int] = []

  /// Watches a descriptor for reading and, if so asked, for writing; called again to change that.
  func watch(_ descriptor: Int32, writable: Bool = false) {
    let events = Int16(POLLIN) | (writable ? Int16(POLLOUT) : 0)
    let index = Int(descriptor)
    while places.count <= index { places.append(-1) }
    if places[index] >= 0 {
      entries[places[index]].events = events
    } else {
      places[index] = entries.count
      entries.append(pollfd(fd: descriptor, events: events, revents: 0))
    }
  }

  /// Watches a descriptor no more.
  func unwatch(_ descriptor: Int32) {
    let place = places[Int(descriptor)]
    places[Int(descriptor)] = -1
    let last = entries.removeLast()
    if last.fd != descriptor {
      entries[place] = last
      places[Int(last.fd)] = place
    }
  }

  /// Waits until something is ready or `nanoseconds` are over (negative: without a bound). Puts
  /// what is ready in `ready`.
  func wait(nanoseconds: Int64, _ ready: inout [pollfd]) {
    ready.removeAll(keepingCapacity: true)
    var left = lido_poll(&entries, entries.count, nanoseconds)
    for entry in entries where left > 0 && entry.revents != 0 {
      ready.append(entry)
      left -= 1
    }
  }
}
