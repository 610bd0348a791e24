import Multiprocessing
import Reactor

/// Joins the descriptors of one pool to the reactor. They are looked at late in a turn: what they
/// tell frees slots, and what takes them comes before.
///
/// Made before the pool, which needs it; told of the pool afterwards.
final class PoolDescriptors {
  /// Called when a descriptor is ready.
  typealias Ready = (_ descriptor: Int32, _ readable: Bool, _ writable: Bool, _ now: UInt64) -> Void

  /// Whom to tell.
  var ready: Ready?
  private let reactor: Reactor

  init(_ reactor: Reactor) {
    self.reactor = reactor
  }

  /// Watches a descriptor, or changes what is watched of it. A system out of memory or watches
  /// refuses that, which the pool treats as a start that failed for want of something.
  func watch(_ descriptor: Int32, writable: Bool) throws(StartFailure) {
    let interest: Interest = writable ? [.readable, .writable] : .readable
    do throws(ReactorError) {
      if reactor.isWatched(descriptor) {
        try reactor.setInterest(interest, of: descriptor)
      } else {
        try reactor.watch(descriptor, for: interest, precedence: .late) {
          [unowned self] readiness in
          ready?(
            descriptor, !readiness.isDisjoint(with: [.readable, .hungUp, .failed]),
            readiness.contains(.writable), SystemClock.monotonicNanoseconds)
        }
      }
    } catch {
      throw StartFailure(stage: .watching, errorNumber: error.code)
    }
  }

  func unwatch(_ descriptor: Int32) {
    reactor.unwatch(descriptor)
  }
}
