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
  /// what is ready in `ready`. May end early, with nothing.
  func wait(nanoseconds: Int64, _ ready: inout [pollfd]) {
    ready.removeAll(keepingCapacity: true)
    let count = lido_poll(&entries, entries.count, nanoseconds)
    if count >= 0 {
      take(entries, count, &ready)
    } else if errno != EINTR {
      lookInPortions(nanoseconds: nanoseconds, &ready)
    }
  }

  /// The system refuses so many at once, because the program has lowered RLIMIT_NOFILE since they
  /// were opened (EINVAL), or for want of memory. Looks at portions of them, and if nothing is
  /// ready lets a moment pass, in which nobody is woken by what becomes ready.
  private func lookInPortions(nanoseconds: Int64, _ ready: inout [pollfd]) {
    var limit = rlimit()
    getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    let size = Int(min(max(limit.rlim_cur, 1), 256))
    for start in stride(from: 0, to: entries.count, by: size) {
      var portion = Array(entries[start..<min(start + size, entries.count)])
      let count = lido_poll(&portion, portion.count, 0)
      take(portion, count, &ready)
    }
    guard ready.isEmpty, nanoseconds != 0 else { return }
    let pause: Int64 = 10_000_000
    _ = lido_poll(nil, 0, nanoseconds < 0 ? pause : min(nanoseconds, pause))
  }

  private func take(_ entries: [pollfd], _ count: Int32, _ ready: inout [pollfd]) {
    var left = count
    for entry in entries where left > 0 && entry.revents != 0 {
      ready.append(entry)
      left -= 1
    }
  }
}
