internal import CPlatform

/// The memory of this process as the allocator keeps it.
public enum SystemMemory {
  /// Gives free pages back to the system, wherever in the heap they lie (malloc_trim(3)). Blocks
  /// for about a millisecond for each four MiB of them.
  public static func giveBack() {
    memory_give_back()
  }
}
