import Glibc
import HTTPServer

/// The simplest loop that a server can be watched by: poll(2).
final class PollLoop: HTTPWatcher {
  private struct Watch {
    var interest: HTTPInterest
    var ready: Ready
  }

  private static let peerClosed = Int16(0x2000)
  private var watches: [Int32: Watch] = [:]
  /// Answers `watch` as if there were no memory.
  var refuses = false
  /// After so many it does.
  var watchesLeft = Int.max

  /// What is watched now, in ascending order.
  var descriptors: [Int32] { watches.keys.sorted() }

  func watch(_ descriptor: Int32, for interest: HTTPInterest, ready: @escaping Ready) -> Bool {
    precondition(watches[descriptor] == nil, "\(descriptor) is watched already")
    if refuses || watchesLeft == 0 {
      errno = ENOSPC
      return false
    }
    watchesLeft -= 1
    watches[descriptor] = Watch(interest: interest, ready: ready)
    return true
  }

  func setInterest(_ interest: HTTPInterest, of descriptor: Int32) {
    precondition(watches[descriptor] != nil, "\(descriptor) is not watched")
    watches[descriptor]?.interest = interest
  }

  func unwatch(_ descriptor: Int32) {
    precondition(fcntl(descriptor, F_GETFD) >= 0, "\(descriptor) was closed before")
    precondition(watches.removeValue(forKey: descriptor) != nil, "\(descriptor) is not watched")
  }

  /// Waits until something is ready, of the watches or of `others`, and tells of the watches: says
  /// how many are ready.
  @discardableResult
  func wait(milliseconds: Int32, others: [Int32] = []) -> Int {
    var entries = watches.map { descriptor, watch in
      pollfd(fd: descriptor, events: Self.events(watch.interest), revents: 0)
    }
    entries += others.map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
    poll(&entries, nfds_t(entries.count), milliseconds)
    let ready = entries.dropLast(others.count).filter { $0.revents != 0 }
    for entry in ready {
      watches[entry.fd]?.ready(Int32(entry.revents) & (POLLERR | POLLHUP) != 0)
    }
    return ready.count
  }

  private static func events(_ interest: HTTPInterest) -> Int16 {
    switch interest {
    case .readable: Int16(POLLIN)
    case .peerClosed: peerClosed
    case .reset: 0
    }
  }
}
