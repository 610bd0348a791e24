internal import CPlatform
import Glibc

/// The descriptors that an encoded value carries to another process.
///
/// A value over a descriptor (a connection, a queue, a lock, shared memory) encodes as the place of
/// its descriptor in the transfer under way on the present thread. There is one while a process is
/// started, with its arguments, and while a connection sends; at any other time encoding such a
/// value throws, as it would mean nothing to whoever decodes it.
final class DescriptorTransfer {
  /// Most descriptors of one value: the kernel takes 253 a message, the fork server 32 a process,
  /// of which some are its own.
  static let descriptorsMax = 24

  /// What the value is on its way to: a started process can inherit anything, a message cannot
  /// hold what only a start can hand on.
  enum Occasion {
    /// A process is started; see "only through inheritance" in CPython's multiprocessing.
    case start
    /// A connection sends.
    case message
  }

  let occasion: Occasion
  /// Those that were added, or that came: this transfer's own, which closes what is not taken over.
  /// Whoever hands them on keeps it alive until then.
  private(set) var descriptors: [Int32]
  /// What the added ones belong to, so that a value that occurs twice is added once.
  private var owners: [AnyObject?] = []

  /// A transfer to collect descriptors in.
  init(_ occasion: Occasion) {
    self.occasion = occasion
    descriptors = []
  }

  /// A transfer of descriptors that came; it owns them, and closes what nobody takes.
  init(_ occasion: Occasion, received descriptors: [Int32]) {
    self.occasion = occasion
    self.descriptors = descriptors
  }

  deinit { closeAll() }

  private func closeAll() {
    for descriptor in takeOver() { close(descriptor) }
  }

  /// Hands the descriptors over to the caller, to close.
  func takeOver() -> [Int32] {
    defer { (descriptors, owners) = ([], []) }
    return descriptors
  }

  /// The transfer under way on this thread.
  static var current: DescriptorTransfer? {
    lido_transfer_current().map {
      Unmanaged<DescriptorTransfer>.fromOpaque($0).takeUnretainedValue()
    }
  }

  /// Does `body` as part of this transfer: what it encodes or decodes on this thread belongs to it.
  func perform<Value, Failure: Error>(
    _ body: () throws(Failure) -> Value
  ) throws(Failure) -> Value {
    let outer = lido_transfer_current()
    lido_transfer_set(Unmanaged.passUnretained(self).toOpaque())
    defer { lido_transfer_set(outer) }
    return try body()
  }

  /// Ends the transfer under way on this thread, if there is one, before `perform` does: for a
  /// task's function, which is called with what was decoded. Nothing but that stays open, or the
  /// ends of pipes would never come; and what the function encodes belongs to no transfer any more.
  static func finish() {
    guard let transfer = current else { return }
    transfer.closeAll()
    lido_transfer_set(nil)
  }

  /// Adds a copy of a descriptor to the transfer under way, and says its place there: a copy,
  /// because `owner` may close its own, and the number be another file's, before anything is sent.
  /// An owner whose descriptor is there already has it not added again.
  static func add(
    _ descriptor: Int32, of type: String, owner: AnyObject? = nil
  ) throws(TransferError) -> Int {
    guard let transfer = current else { throw TransferError(.notInTransfer, type: type) }
    if let owner, let place = transfer.owners.firstIndex(where: { $0 === owner }) { return place }
    guard transfer.descriptors.count < descriptorsMax else {
      throw TransferError(.tooMany, type: type)
    }
    let copy = fcntl(descriptor, F_DUPFD_CLOEXEC, 3)
    guard copy >= 0 else { throw TransferError(.system(errno), type: type) }
    transfer.descriptors.append(copy)
    transfer.owners.append(owner)
    return transfer.descriptors.count - 1
  }

  /// The descriptor at a place of the transfer under way: a copy, close-on-exec, the caller's to
  /// close.
  static func take(_ place: Int, of type: String) throws(TransferError) -> Int32 {
    guard let transfer = current else { throw TransferError(.notInTransfer, type: type) }
    guard transfer.descriptors.indices.contains(place) else {
      throw TransferError(.missing, type: type)
    }
    let copy = fcntl(transfer.descriptors[place], F_DUPFD_CLOEXEC, 3)
    guard copy >= 0 else { throw TransferError(.system(errno), type: type) }
    return copy
  }
}
