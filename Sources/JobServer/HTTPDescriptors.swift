import HTTPServer
import Reactor

/// Joins the descriptors of the HTTP server to the reactor. They are looked at first in a turn.
final class HTTPDescriptors: HTTPWatcher {
  private let reactor: Reactor

  init(_ reactor: Reactor) {
    self.reactor = reactor
  }

  func watch(_ descriptor: Int32, for interest: HTTPInterest, ready: @escaping Ready) -> Bool {
    do throws(ReactorError) {
      try reactor.watch(descriptor, for: Self.interest(interest), precedence: .early) {
        ready(!$0.isDisjoint(with: [.hungUp, .failed]))
      }
      return true
    } catch {
      return false
    }
  }

  func setInterest(_ interest: HTTPInterest, of descriptor: Int32) {
    // Nothing is added to the kernel's set, and so it has nothing to refuse; if it did, the server
    // would be told of what it knows already, and be none the worse.
    try? reactor.setInterest(Self.interest(interest), of: descriptor)
  }

  func unwatch(_ descriptor: Int32) { reactor.unwatch(descriptor) }

  private static func interest(_ interest: HTTPInterest) -> Interest {
    switch interest {
    case .readable: .readable
    case .peerClosed: .peerClosed
    case .reset: []
    }
  }
}
